"""Drives the vendor's Python SDK from outside: commands as JSON lines on stdin, on stdout what the SDK says.

It runs under the SDK's interpreter, where nothing of this repository is installed, so it imports nothing
of it, and no test imports it. It judges nothing: what the SDK read is passed on as it is. The first line
of the input is what `loader sandbox` prints when it is ready; the one argument is a directory for the
SDK's tokens and field metadata.

Each command is answered by one line an item (of an insert: a record) and then by one line with `call`.
JSON has fewer types than the SDK: {"$": "choice", "value": ...} and the other words of `_TYPED` say which
is meant.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

from zohocrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken
from zohocrmsdk.src.com.zoho.api.authenticator.store import FileStore
from zohocrmsdk.src.com.zoho.crm.api import HeaderMap, Initializer, ParameterMap
from zohocrmsdk.src.com.zoho.crm.api.dc import DataCenter
from zohocrmsdk.src.com.zoho.crm.api.exception import SDKException
from zohocrmsdk.src.com.zoho.crm.api.layouts import Layouts
from zohocrmsdk.src.com.zoho.crm.api.record import BodyWrapper, Record, RecordOperations
from zohocrmsdk.src.com.zoho.crm.api.sdk_config import SDKConfig
from zohocrmsdk.src.com.zoho.crm.api.users import MinifiedUser
from zohocrmsdk.src.com.zoho.crm.api.util import Choice

READ_TIMEOUT_S = 20
"""Of reads alone: inserts the SDK sends without a time limit."""

Json = dict[str, Any]


def connect(ready: Json, directory: Path) -> None:
    """Points the SDK at the sandbox: the same address for the tokens, the API and the files."""
    url = ready["url"]
    Initializer.initialize(
        environment=DataCenter.Environment(url, f"{url}/oauth/v2/token", url),
        token=OAuthToken(
            client_id=ready["client_id"],
            client_secret=ready["client_secret"],
            refresh_token=ready["refresh_token"],
        ),
        store=FileStore(str(directory / "tokens.csv")),
        sdk_config=SDKConfig(read_timeout=READ_TIMEOUT_S, connect_timeout=READ_TIMEOUT_S),
        resource_path=str(directory),
    )


# --- What goes in ---------------------------------------------------------------------------------------


def _record(members: Json) -> Any:
    record = Record()
    for name, value in members.items():
        record.add_key_value(name, _typed(value))
    return record


def _with_id(kind: Callable[[], Any]) -> Callable[[str], Any]:
    def make(identity: str) -> Any:
        made = kind()
        made.set_id(int(identity))
        return made

    return make


_TYPED: dict[str, Callable[[Any], Any]] = {
    "choice": Choice,
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
    "record": _with_id(Record),
    "user": _with_id(MinifiedUser),
    "layout": _with_id(Layouts),
    "row": _record,
}


def _typed(value: Any) -> Any:
    if isinstance(value, list):
        return [_typed(each) for each in value]
    if isinstance(value, dict) and "$" in value:
        return _TYPED[value["$"]](value["value"])
    return value


# --- What comes out -------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """Whatever the SDK made of a part of an answer, as JSON."""
    if isinstance(value, Choice):
        return value.get_value()
    if isinstance(value, Record):
        return {name: _plain(each) for name, each in value.get_key_values().items()}
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float):
        return value
    names = (name for name in vars(value) if not name.endswith("__key_modified"))
    return {name.partition("__")[2]: _plain(getattr(value, name)) for name in names}


def _verdict(answer: Any) -> Json:
    """An item of an answer, or the whole of one that has no items, by the SDK's own readers."""
    return {
        "read_as": type(answer).__name__,
        "status": _plain(answer.get_status()),
        "code": _plain(answer.get_code()),
        "message": _plain(answer.get_message()),
        "details": _plain(answer.get_details()),
    }


def _items(answer: Any, read: Callable[[Any], Json]) -> Iterator[Json]:
    """The items that the SDK found, and after them what it says of the call."""
    thing = answer.get_object()
    items: list[Any] = getattr(thing, "get_data", list)() or []
    for position, item in enumerate(items):
        yield {"position": position} | read(item)
    call = {"http_status": answer.get_status_code(), "read_as": type(thing).__name__, "items": len(items)}
    yield {"call": call if thing is None or items else call | _verdict(thing)}


# --- The commands ---------------------------------------------------------------------------------------


def insert(command: Json) -> Iterator[Json]:
    """`module`, `records` and if wanted `trigger`; each item says what became of a record."""
    body = BodyWrapper()
    body.set_data([_record(each) for each in command["records"]])
    if "trigger" in command:
        body.set_trigger(command["trigger"])
    answer = RecordOperations(command["module"]).create_records(body, HeaderMap())
    yield from _items(answer, _verdict)


def read(command: Json) -> Iterator[Json]:
    """`module` and `id`; the item is the record."""
    operations = RecordOperations(command["module"])
    answer = operations.get_record(int(command["id"]), ParameterMap(), HeaderMap())
    yield from _items(answer, lambda record: {"record": _plain(record)})


_COMMANDS = {"insert": insert, "read": read}


def answered(command: Json) -> Iterator[Json]:
    """One command; what the SDK itself refuses is its answer too. CPU time is that of this process alone."""
    started = time.process_time()
    try:
        lines = list(_COMMANDS[command["do"]](command))
    except SDKException as error:
        refusal = {"code": error.code, "message": error.message, "details": _plain_or_text(error.details)}
        lines = [{"call": {"raised": "SDKException"} | refusal}]
    lines[-1]["call"]["cpu_s"] = time.process_time() - started
    yield from lines


def _plain_or_text(details: Any) -> Json:
    """The details of an exception hold classes among their values."""
    return {
        name: value if isinstance(value, str | int | None) else str(value)
        for name, value in (details or {}).items()
    }


def main() -> None:
    """Answers commands until the input ends."""
    connect(json.loads(sys.stdin.readline()), Path(sys.argv[1]))
    for line in sys.stdin:
        for answer in answered(json.loads(line)):
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
