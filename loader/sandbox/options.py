"""What an insert says parallel to its records: trigger, lar_id, features to apply and to skip. Pure.

The automations themselves are not here; what an insert asks for is checked, as the API checks it, and layout
rules are applied.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from loader.sandbox.answers import Item, error
from loader.wire.options import APPLY_FEATURES, SKIP_FEATURES, TRIGGERS, is_record_id

LAYOUT_RULES: Final = "layout_rules"


class Options(msgspec.Struct, frozen=True):
    """What an insert asks for, as far as it has an effect here."""

    layout_rules: bool = False


NONE: Final = Options()


def options_of(
    *,
    trigger: object = None,
    lar_id: object = None,
    apply_feature_execution: object = None,
    skip_feature_execution: object = None,
) -> Options | Item:
    """The options, or what is wrong with the first that cannot be; null is as good as none."""
    applied = _features("apply_feature_execution", apply_feature_execution, APPLY_FEATURES)
    skipped = _features("skip_feature_execution", skip_feature_execution, SKIP_FEATURES)
    for found in (_trigger(trigger), _lar_id(lar_id), applied, skipped):
        if isinstance(found, dict):
            return found
    return Options(layout_rules=isinstance(applied, tuple) and LAYOUT_RULES in applied)


def _trigger(value: object) -> Item | None:
    if value is None:
        return None
    if not isinstance(value, list):
        return _mistyped("trigger", "jsonarray")
    for number, word in enumerate(value):
        if word not in TRIGGERS:
            return _unsupported("trigger", f"trigger[{number}]", TRIGGERS)
    return None


def _lar_id(value: object) -> Item | None:
    if value is None or (isinstance(value, str) and is_record_id(value)):
        return None
    if not isinstance(value, str):
        return _mistyped("lar_id", "text")
    return error(
        "INVALID_DATA", "the id given seems to be invalid", {"api_name": "lar_id", "json_path": "$.lar_id"}
    )


def _features(key: str, value: object, known: Iterable[str]) -> tuple[str, ...] | Item:
    """The names of the features, or what is wrong with the first that cannot be."""
    if value is None:
        return ()
    if not isinstance(value, list):
        return _mistyped(key, "jsonarray")
    names: list[str] = []
    for number, item in enumerate(value):
        path = f"{key}[{number}]"
        if not isinstance(item, dict):
            return _mistyped(path, "jsonobject", api_name=key)
        name: Any = item.get("name")
        if name is None:
            where = {"api_name": "name", "json_path": f"$.{path}.name"}
            return error("MANDATORY_NOT_FOUND", "required field not found", where)
        if name not in known:
            return _unsupported("name", f"{path}.name", known)
        names.append(name)
    return tuple(names)


def _mistyped(path: str, expected: str, *, api_name: str = "") -> Item:
    details = {"expected_data_type": expected, "api_name": api_name or path, "json_path": f"$.{path}"}
    return error("INVALID_DATA", "invalid data", details)


def _unsupported(api_name: str, path: str, known: Iterable[str]) -> Item:
    details = {"api_name": api_name, "json_path": f"$.{path}", "supported_values": list(known)}
    return error("INVALID_DATA", "invalid data", details)
