"""What an insert may say beside its records: what the CRM is to run, and how lookups are written.

Whoever asks for something that the API does not know would be refused at the first call at best, and be
ignored at worst; so the words are checked here, before there is a call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from loader.wire.limits import ID_DIGITS_MAX

TRIGGERS: Final = ("workflow", "approval", "blueprint", "pathfinder", "orchestration")
"""Automations (insert-records page, `trigger`)."""

APPLY_FEATURES: Final = (
    "layout_rules",
    "range_validation",
    "assignment_rules",
    "function_validation_rule",
    "criteria_validation_rule",
    "global_map_dependency",
    "territory_subordinates",
)
"""`apply_feature_execution`. The insert-records page names the first; the others are in the vendor's
published examples of createRecords."""

SKIP_FEATURES: Final = ("cadences", "assignment_rules", "connected_workflows")
"""`skip_feature_execution`; sources as above."""

EXTERNAL_HEADER: Final = "X-EXTERNAL"

OPTION_KEYS: Final = (
    "trigger",
    "lar_id",
    "apply_feature_execution",
    "skip_feature_execution",
    EXTERNAL_HEADER,
)
"""The keys parallel to `data`, and the header: an error that names one of them is about the load, not about a
record."""

_NAME: Final = r"[A-Za-z][A-Za-z0-9_]*"
_EXTERNAL_PATH: Final = re.compile(rf"{_NAME}(?:\.{_NAME}){{1,2}}(?:\.{_NAME}|->{_NAME}\.{_NAME})")
"""Records-with-external-id page: `Module.Lookup.Field`, `Module.Subform.Lookup.Field`; for a lookup that may
refer to several modules `->Module.Field` in place of `.Field`."""

_JSON: Final = {"content-type": "application/json"}


class OptionError(ValueError):
    """A value that an option cannot have; `option` is its name in `InsertOptions`."""

    def __init__(self, option: str, why: str) -> None:
        super().__init__(why)
        self.option = option


class InsertOptions(msgspec.Struct, frozen=True, dict=True):
    """The options of a load's inserts; the same for each of its calls."""

    trigger: tuple[str, ...] | None = None
    """Automations to run. None: the key is left out, and the API runs all of them; empty: none."""
    lar_id: str = ""
    """Id of the assignment rule to apply."""
    apply_features: tuple[str, ...] = ()
    skip_features: tuple[str, ...] = ()
    external: tuple[str, ...] = ()
    """Lookups whose records are named by an external field's value, as paths."""

    def __post_init__(self) -> None:
        """Check the values; what each call sends of them is made here, once.

        Raises:
            OptionError: a value that the API does not know.
        """
        _require_known("trigger", self.trigger or (), TRIGGERS)
        _require_known("apply_features", self.apply_features, APPLY_FEATURES)
        _require_known("skip_features", self.skip_features, SKIP_FEATURES)
        if self.lar_id and not is_record_id(self.lar_id):
            raise OptionError("lar_id", f"{self.lar_id!r} is not an id: an id has up to 19 digits")
        for path in self.external:
            if not _EXTERNAL_PATH.fullmatch(path):
                raise OptionError(
                    "external",
                    f"{path!r} is no path to an external field; write Module.Lookup.Field,"
                    " Module.Subform.Lookup.Field, or Module.What_Id->Other_Module.Field",
                )
        self.__dict__["_tail"] = _tail_of(self)
        self.__dict__["_headers"] = _headers_of(self)

    @property
    def tail(self) -> bytes:
        """The end of the body, from the bracket that closes `data`."""
        tail: bytes = self.__dict__["_tail"]
        return tail

    @property
    def headers(self) -> Mapping[str, str]:
        headers: Mapping[str, str] = self.__dict__["_headers"]
        return headers

    def require_for(self, module: str) -> None:
        """Refuse paths that begin in another module: the API would not look at them.

        Raises:
            OptionError: one does.
        """
        for path in self.external:
            first = path.partition(".")[0]
            if first != module:
                raise OptionError(
                    "external", f"{path!r} begins with {first}, and the records go into {module}"
                )


def is_record_id(text: str) -> bool:
    """Whether the text is written as the API writes ids."""
    return text.isascii() and text.isdigit() and len(text) <= ID_DIGITS_MAX


def _require_known(option: str, words: tuple[str, ...], known: tuple[str, ...]) -> None:
    for word in words:
        if word not in known:
            raise OptionError(option, f"{word!r} is none of {', '.join(known)}")


def _tail_of(options: InsertOptions) -> bytes:
    members: dict[str, object] = {}
    if options.trigger is not None:
        members["trigger"] = options.trigger
    if options.lar_id:
        members["lar_id"] = options.lar_id
    if options.apply_features:
        members["apply_feature_execution"] = [{"name": name} for name in options.apply_features]
    if options.skip_features:
        members["skip_feature_execution"] = [{"name": name} for name in options.skip_features]
    if not members:
        return b"]}"
    return b"]," + msgspec.json.encode(members)[1:]


def _headers_of(options: InsertOptions) -> Mapping[str, str]:
    return {**_JSON, EXTERNAL_HEADER: ",".join(options.external)} if options.external else _JSON


PLAIN: Final = InsertOptions()
"""No option: the API does what it does by itself."""
