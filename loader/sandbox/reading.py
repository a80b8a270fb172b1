"""Reading records back: one by its id, several by theirs, and a module page by page."""

from __future__ import annotations

from typing import Any, Final

from loader.sandbox import answers
from loader.sandbox.answers import Answer
from loader.sandbox.calls import Exchange, Parts
from loader.sandbox.catalogue import Served
from loader.sandbox.store import row_id
from loader.sandbox.views import Views
from loader.wire.limits import FIELDS_PER_GET_MAX, IDS_PER_GET_MAX

PER_PAGE_MAX: Final = 200
"""Records of a page, and how many it has unless less is asked for (get-records page)."""
PAGED_MAX: Final = 2_000
"""Records that pages reach; beyond them the API wants a token, which is not served (get-records page)."""

_SORTED_BY: Final = ("id", "Created_Time", "Modified_Time")
"""What a list can be sorted by (get-records page); here all three are the order of the ids."""
_ORDERS: Final = ("desc", "asc")


class Reading:
    """The reads of one organisation."""

    def __init__(self, parts: Parts) -> None:
        self._served = parts.served
        self._store = parts.store
        self._views = Views(parts)

    def by_id(self, exchange: Exchange) -> Answer:
        """Answers `GET {module}/{id}`."""
        name, record_id = exchange.request.path.strip("/").split("/")[2:]
        served = self._served.get(name)
        if served is None:
            return answers.INVALID_MODULE
        row = row_id(record_id)
        if row is None:
            return answers.bare(
                400, "INVALID_DATA", "the id given seems to be invalid", {"resource_path_index": 1}
            )
        found = self._store.records(name, [row])
        return answers.listing("data", [self._views.record(served, each) for each in found])

    def several(self, exchange: Exchange) -> Answer:
        """Answers `GET {module}`, whose fields must be named: those with `ids`, or a page of all."""
        query = exchange.request.query
        served = self._served.get(exchange.request.path.strip("/").split("/")[2])
        if served is None:
            return answers.INVALID_MODULE
        for name, most in (("fields", FIELDS_PER_GET_MAX), ("ids", IDS_PER_GET_MAX)):
            if not query.get(name) and (name == "fields" or name in query):
                return answers.parameter_missing(name)
            if query.get(name, "").count(",") >= most:
                return answers.bare(
                    400,
                    "LIMIT_EXCEEDED",
                    f"{name} names too many",
                    {"param_name": name, "maximum_length": most},
                )
        fields = query["fields"].split(",")
        return (
            self._by_ids(served, query["ids"], fields)
            if "ids" in query
            else self._page(exchange, served, fields)
        )

    def _by_ids(self, served: Served, ids: str, fields: list[str]) -> Answer:
        rows = [row_id(each) for each in ids.split(",")]
        wanted = [each for each in rows if each is not None]
        if len(wanted) < len(rows):
            return answers.bare(
                400, "INVALID_DATA", "the id given seems to be invalid", {"param_name": "ids"}
            )
        found = self._store.records(served.module.api_name, dict.fromkeys(wanted))
        items = [self._views.record(served, each, fields) for each in found]
        info = {"per_page": PER_PAGE_MAX, "count": len(items), "page": 1, "more_records": False}
        return answers.listing("data", items, info)

    def _page(self, exchange: Exchange, served: Served, fields: list[str]) -> Answer:
        query = exchange.request.query
        if "page_token" in query:
            return answers.not_served("pages beyond the 2,000th record", status=400, instead="POST coql")
        per_page, page = (_number(query.get(name, most)) for name, most in _PAGE_DEFAULTS)
        sort_by, order = query.get("sort_by", "id"), query.get("sort_order", "desc")
        for name, good in (
            ("per_page", 1 <= per_page <= PER_PAGE_MAX),
            ("page", page >= 1 and page * per_page <= PAGED_MAX),
            ("sort_by", sort_by in _SORTED_BY),
            ("sort_order", order in _ORDERS),
        ):
            if not good:
                return answers.bare(400, "INVALID_DATA", "invalid data", {"param_name": name} | _TAKES[name])
        found = self._store.page(
            served.module.api_name, skip=(page - 1) * per_page, count=per_page + 1, descending=order == "desc"
        )
        items = [self._views.record(served, each, fields) for each in found[:per_page]]
        info = {"per_page": per_page, "count": len(items), "page": page, "sort_by": sort_by}
        info |= {"sort_order": order, "more_records": len(found) > per_page}
        return answers.listing("data", items, info)


_PAGE_DEFAULTS: Final = (("per_page", str(PER_PAGE_MAX)), ("page", "1"))
_TAKES: Final[dict[str, dict[str, Any]]] = {
    "per_page": {"maximum": PER_PAGE_MAX},
    "page": {"maximum_records": PAGED_MAX},
    "sort_by": {"supported_values": list(_SORTED_BY)},
    "sort_order": {"supported_values": list(_ORDERS)},
}


def _number(text: str) -> int:
    """A whole number from 1 on; 0 where the text is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else 0
