"""What is asked of the API, byte for byte, and the facts that it rests on."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from loader.wire import requests
from loader.wire.limits import credits_for


def test_the_bytes_between_the_commas_of_an_insert_are_the_lines_unchanged() -> None:
    lines = [
        b'{"Last_Name" : "A\\u00e9"}',
        b'  {"n":1e400,"n":12345678901234567890123}\t',
        b'{"x":"\xe2\x80\xa8"}',
    ]
    request = requests.insert("Leads", lines)
    assert request.body == b'{"data":[' + lines[0] + b"," + lines[1] + b"," + lines[2] + b"]}"
    assert (request.method, request.path) == ("POST", "/crm/v8/Leads")
    assert request.headers == {"content-type": "application/json"}


@pytest.mark.parametrize("module", ["../users", "Leads?x=1", "a b", "a/b"])
def test_a_module_name_stays_one_step_of_the_path(module: str) -> None:
    path = requests.insert(module, [b"{}"]).path
    assert path.count("/") == 3
    assert not set(" ?#") & set(path)


def test_a_read_by_ids_names_ids_and_fields() -> None:
    request = requests.get_by_ids("Leads", ["1", "2"], ["Email", "Created_Time"])
    assert (request.method, request.body) == ("GET", None)
    assert request.path == "/crm/v8/Leads?ids=1,2&fields=Email,Created_Time"


def test_a_query_names_each_column_once_and_asks_no_more_than_one_credit_buys() -> None:
    request = requests.find_by_values("Leads", "Email", ["a@b.c", "d@e.f"], ["Email", "id", "Created_By"])
    assert json.loads(request.body or b"") == {
        "select_query": "select id, Email, Created_By from Leads where Email in ('a@b.c', 'd@e.f') limit 200"
    }
    assert (request.method, request.path) == ("POST", "/crm/v8/coql")


def test_a_value_with_a_quote_stays_inside_its_text() -> None:
    request = requests.find_by_values("Leads", "Email", ["o'hara') or ('1'='1"], ["id"])
    query = json.loads(request.body or b"")["select_query"]
    assert "in ('o''hara'') or (''1''=''1')" in query


def test_a_number_is_asked_for_without_quotes() -> None:
    request = requests.find_by_values("Leads", "Legacy_No", [7, -2.5, "7"], ["id"])
    assert "in (7, -2.5, '7')" in json.loads(request.body or b"")["select_query"]


def test_the_questions_before_a_load_are_reads() -> None:
    for request in (requests.current_user(), requests.organisation(), requests.modules()):
        assert (request.method, request.body) == ("GET", None)
    assert parse_qs(urlsplit(requests.fields("A&B").path).query) == {"module": ["A&B"]}


@pytest.mark.parametrize(("records", "cost"), [(0, 0), (1, 1), (10, 1), (11, 2), (99, 10), (100, 10)])
def test_a_begun_ten_of_records_costs_a_whole_credit(records: int, cost: int) -> None:
    assert credits_for(records) == cost
