"""What the loader asks of the API, as values. Addresses and bodies; no host and no credentials."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from loader.wire.limits import COQL_ROWS_AT_ONE_CREDIT
from loader.wire.messages import HttpRequest
from loader.wire.options import PLAIN, InsertOptions

API_VERSION: Final = "v8"
"""The version that the insert-records page describes."""

PATH_PREFIX: Final = f"/crm/{API_VERSION}"

_JSON: Final = {"content-type": "application/json"}


def insert(module: str, records: Sequence[bytes], options: InsertOptions = PLAIN) -> HttpRequest:
    """Insert the records: the bytes between the commas of `data` are the records given, unchanged."""
    body = b"".join((b'{"data":[', b",".join(records), options.tail))
    return HttpRequest("POST", _module_path(module), body, options.headers)


@lru_cache
def _module_path(module: str) -> str:
    return f"{PATH_PREFIX}/{quote(module, safe='')}"


def get_by_ids(module: str, ids: Sequence[str], fields: Iterable[str]) -> HttpRequest:
    """Read up to `IDS_PER_GET_MAX` records; the answer is for `replies.read_existing`."""
    query = urlencode({"ids": ",".join(ids), "fields": ",".join(fields)}, safe=",")
    return HttpRequest("GET", f"{_module_path(module)}?{query}")


def current_user() -> HttpRequest:
    """Whose credentials these are."""
    return HttpRequest("GET", f"{PATH_PREFIX}/users?type=CurrentUser")


def organisation() -> HttpRequest:
    """Which organisation the credentials belong to."""
    return HttpRequest("GET", f"{PATH_PREFIX}/org")


def fields(module: str) -> HttpRequest:
    """The module's field metadata."""
    return HttpRequest("GET", f"{PATH_PREFIX}/settings/fields?{urlencode({'module': module})}")


def layouts(module: str) -> HttpRequest:
    """The module's layouts."""
    return HttpRequest("GET", f"{PATH_PREFIX}/settings/layouts?{urlencode({'module': module})}")


def modules() -> HttpRequest:
    """The organisation's modules."""
    return HttpRequest("GET", f"{PATH_PREFIX}/settings/modules")


def coql(query: str) -> HttpRequest:
    """A COQL query."""
    return HttpRequest("POST", f"{PATH_PREFIX}/coql", msgspec.json.encode({"select_query": query}), _JSON)


def find_by_values(
    module: str, field: str, values: Sequence[str | float], fields: Iterable[str]
) -> HttpRequest:
    """The records whose `field` is one of up to `COQL_IN_VALUES_MAX` values; for `replies.read_existing`."""
    columns = ", ".join(dict.fromkeys(("id", *fields)))
    among = ", ".join(map(_literal, values))
    return coql(
        f"select {columns} from {module} where {field} in ({among}) limit {COQL_ROWS_AT_ONE_CREDIT}"  # noqa: S608
    )


def _literal(value: str | float) -> str:
    """A number as it is, or a text in quotes, a quote inside it written twice (COQL page, its questions)."""
    if not isinstance(value, str):
        return str(value)
    escaped = value.replace("'", "''")
    return f"'{escaped}'"
