"""The database of the sandbox: what is in which table, and what stays."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from loader.sandbox.store import Call, NewRecord, Reader, Store, row_id

PREFIX = 5_725_767
CREATED = ("2023-05-10T01:10:47-07:00", "5725767000000411001")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "sandbox.db", id_prefix=PREFIX)) as store:
        yield store


def call(number: int) -> Call:
    return Call(number, 1.5, "POST", "/crm/v8/Leads", 1, 201, None, True)


def add(store: Store, raw: bytes, *, email: str = "") -> int:
    new = NewRecord(store.next_id, 0, raw, (("Email", email),) if email else ())
    store.apply("Leads", [new], call(store.next_call()), created=CREATED)
    return new.id


def rows(store: Store, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{store.path}?mode=ro", uri=True)) as reader:
        return reader.execute(query).fetchall()


def test_another_connection_reads_what_was_applied(store: Store) -> None:
    raw = b'{"Last_Name" : "\xc3\xa9" }'
    first = add(store, raw, email="a@b.cd")
    assert rows(store, "SELECT * FROM records") == [(first, "Leads", raw, *CREATED, 1)]
    assert rows(store, "SELECT * FROM unique_values") == [("Leads", "Email", "a@b.cd", first)]
    assert rows(store, "SELECT * FROM apply_log") == [(1, 1, 0, first, 1.5)]
    assert rows(store, "SELECT * FROM calls") == [(1, 1.5, "POST", "/crm/v8/Leads", 1, 201, None, 1, 0)]


def test_ids_have_nineteen_digits_and_begin_with_the_prefix(store: Store) -> None:
    first, second = add(store, b"{}"), add(store, b"{}")
    assert len(str(first)) == 19
    assert str(first).startswith(f"{PREFIX}00000")
    assert second == first + 1


def test_a_value_cannot_be_taken_twice_and_what_fails_leaves_no_trace(store: Store) -> None:
    add(store, b"{}", email="a@b.cd")
    before = store.next_id
    with pytest.raises(sqlite3.IntegrityError):
        add(store, b"{}", email="a@b.cd")
    assert store.next_id == before
    assert [count for (count,) in rows(store, "SELECT count(*) FROM records")] == [1]
    assert [count for (count,) in rows(store, "SELECT count(*) FROM apply_log")] == [1]


def test_owners_are_found_by_value(store: Store) -> None:
    first = add(store, b"{}", email="a@b.cd")
    assert store.owners_of("Leads", "Email", ["x", "a@b.cd"]) == {"a@b.cd": first}
    assert store.owners_of("Leads", "Phone", ["a@b.cd"]) == {}


def test_a_call_that_is_noted_again_replaces_what_was_known(store: Store) -> None:
    store.note(Call(1, 1.5, "GET", "/crm/v8/org"))
    store.note(Call(1, 1.5, "GET", "/crm/v8/org", status=200, answered=True))
    assert rows(store, "SELECT status, answered FROM calls") == [(200, 1)]


def test_numbers_go_on_after_the_database_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.db"
    with closing(Store(path, id_prefix=PREFIX)) as store:
        first = add(store, b"{}")
        store.keep_setting("client", "x")
    with closing(Store(path, id_prefix=PREFIX)) as store:
        assert (store.next_id, store.next_call()) == (first + 1, 2)
        assert (store.setting("client"), store.setting("other")) == ("x", None)


def test_records_are_read_in_the_order_that_is_asked_for(store: Store) -> None:
    ids = [add(store, b"{}") for _ in range(3)]
    assert [each.id for each in store.records("Leads", [ids[2], 5, ids[0]])] == [ids[2], ids[0]]
    assert store.records("Contacts", ids) == []


def test_another_thread_reads_a_module_in_the_order_of_its_ids(store: Store) -> None:
    ids = [add(store, b"{}") for _ in range(2)]
    link = NewRecord(store.next_id, 0, b"{}", links=(("Account_Name", ids[0]),))
    store.apply("Leads", [link], call(store.next_call()), created=CREATED)
    with closing(Reader(store.path)) as reader:
        assert [each.id for each in reader.records("Leads")] == [*ids, link.id]
        assert list(reader.records("Contacts")) == []
        assert reader.linked(link.id, "Account_Name") == ids[0]
        assert reader.linked(ids[0], "Account_Name") is None


def test_a_page_has_so_many_records_after_so_many_others(store: Store) -> None:
    ids = [add(store, b"{}") for _ in range(5)]
    last = store.page("Leads", skip=1, count=2, descending=True)
    assert [each.id for each in last] == [ids[3], ids[2]]
    first = store.page("Leads", skip=0, count=9, descending=False)
    assert [each.id for each in first] == ids


@pytest.mark.parametrize(
    ("text", "row"),
    [("5", 5), ("9" * 19, None), ("9" * 20, None), ("", None), ("x", None), ("-1", None), ("\u0665", None)],
)
def test_an_id_that_no_row_can_have_is_none(text: str, row: int | None) -> None:
    assert row_id(text) == row
