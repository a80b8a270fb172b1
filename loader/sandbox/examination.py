"""What only the organisation knows of a record: its rules, its wizards, its locks, who refers to whom.

The schema's own check comes first, uniqueness comes last; this stands between, and only where there is
something to look at: a plain record of a plain module is never decoded here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol

import msgspec

from loader.sandbox.answers import Item, error
from loader.sandbox.catalogue import Served
from loader.sandbox.externals import ExternalPath
from loader.sandbox.options import Options
from loader.sandbox.organisation import LayoutRule, When
from loader.sandbox.problem_items import EXTERNAL_INVALID, invalid, place, without_indexes
from loader.sandbox.references import Reference, references
from loader.schema.fields import FieldType, Layout
from loader.schema.placement import takes
from loader.schema.problems import DEPENDENT_FIELD_MISSING, ID_INVALID, MANDATORY_NOT_FOUND, Problem

_VALUE: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(dict[str, Any], float_hook=str)
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])

_NONE: Final = frozenset[str]()
_PATH: Final = "$wizard_connection_path"

Members = Mapping[str, Any]
Look = Callable[[Members, int], Iterator[Item]]
"""A record and its position in the call -> what is wrong with it."""


class Directory(Protocol):
    """What there is already."""

    def with_value(self, module: str, field: str, value: str) -> int | None:
        """The record of the module whose external field has this value."""

    def is_there(self, module: str, record_id: str) -> bool:
        """Whether the module, or any where it is empty, has a record with this id; users are a module too."""


class Examined(msgspec.Struct, frozen=True):
    """What is left of a record: what is wrong with it, or what is to be stored."""

    failure: Item | None
    raw: bytes
    links: tuple[tuple[str, int], ...] = ()
    """Lookups that came as external values, and the records that they mean."""


class Examination:
    """Of the records of one call."""

    def __init__(
        self,
        served: Served,
        *,
        directory: Directory,
        options: Options,
        externals: Mapping[str, ExternalPath],
        by_value: Mapping[str, frozenset[str]] = MappingProxyType({}),
        locked: frozenset[str] = frozenset(),
        refuse_unknown: bool = False,
        lookups_exist: bool = False,
    ) -> None:
        """`by_value`: modules that this one's lookups refer to, and their external fields."""
        self._module = served.module
        self._plan = plan = served.plan
        self._narrow = served.narrow_layouts
        self._directory = directory
        self._externals = externals
        self._by_value = by_value
        self._locked = locked
        self._lookups_exist = lookups_exist
        looks: tuple[tuple[Look, object], ...] = (
            (self._unknown, refuse_unknown),
            (self._dependents, plan.dependents),
            (self._layout_rules, options.layout_rules and plan.layout_rules),
            (self._wizard, plan.wizards),
            (self._references, externals or by_value or locked or lookups_exist),
            (self._service, plan.dependent_service is not None),
        )
        self._looks = tuple(look for look, needed in looks if needed)

    @property
    def needed(self) -> bool:
        """There is something that a record may be found wanting in."""
        return bool(self._looks or self._narrow)

    def relevant(self, problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
        """Without those that an external value makes good: the header says that no id is to be looked for."""
        return tuple(
            each
            for each in problems
            if not (each.path.endswith(".id") and without_indexes(each.path[:-3]) in self._externals)
        )

    def examine(self, raw: bytes, position: int) -> Examined:
        """A record that its schema's check has passed."""
        members: dict[str, Any] = _VALUE.decode(raw)
        layout = self._narrow.get(_id_of(members.get("Layout")))
        if layout is not None:
            outside = self._outside(layout, members)
            if outside:
                members = {name: value for name, value in members.items() if name not in outside}
                kept = {name: value for name, value in _MEMBERS.decode(raw).items() if name not in outside}
                raw = msgspec.json.encode(kept)
        failure = next((item for look in self._looks for item in look(members, position)), None)
        if failure is not None or not self._externals:
            return Examined(failure, raw)
        return Examined(None, raw, tuple(self._links(members)))

    def _outside(self, layout: Layout, members: Members) -> frozenset[str]:
        """Fields that are not the layout's: what a record gives for them is ignored (insert-records page)."""
        return frozenset(
            name for name in members if self._module.field(name) is not None and not takes(layout, name)
        )

    # --- What may be wrong ------------------------------------------------------------------------------

    def _unknown(self, members: Members, position: int) -> Iterator[Item]:
        for name in members:
            if not name.startswith("$") and self._module.field(name) is None:
                yield invalid(name, position, "the field api name given seems to be invalid")

    def _dependents(self, members: Members, position: int) -> Iterator[Item]:
        for each in self._plan.dependents:
            if not _blank(members.get(each.field)) and _blank(members.get(each.needs)):
                message = f"The field '{each.needs}' is required when '{each.field}' is provided"
                details = {"dependee": place(each.field, position), **place(each.needs, position)}
                yield error(DEPENDENT_FIELD_MISSING, message, details)

    def _layout_rules(self, members: Members, position: int) -> Iterator[Item]:
        layout = _id_of(members.get("Layout"))
        for rule in self._plan.layout_rules:
            if rule.layout == layout and _holds(rule.when, members):
                yield from _missing_by(rule, members, position)

    def _wizard(self, members: Members, position: int) -> Iterator[Item]:
        wizard_id, path = _id_of(members.get("Wizard")), members.get(_PATH)
        wizards = [each for each in self._plan.wizards if wizard_id in ("", each.id)]
        if not wizards:
            yield invalid("Wizard", position, ID_INVALID)
        if not isinstance(path, list):
            return
        known = frozenset().union(*(each.known for each in wizards))
        steps = tuple(str(each) for each in path)
        for number, step in enumerate(steps):
            if step not in known:
                yield invalid(f"{_PATH}[{number}]", position, "Wizard connection id is invalid")
        if not any(steps in each.paths for each in wizards):
            yield invalid(_PATH, position, "Wizard connections supplied do not form a valid path")

    def _service(self, members: Members, _position: int) -> Iterator[Item]:
        service = self._plan.dependent_service
        if service is not None and (service.when is None or _holds(service.when, members)):
            details = {"dependency_error": service.error}
            yield error("DEPENDENT_SERVICE_ERROR", "dependent service error", details)

    def _references(self, members: Members, position: int) -> Iterator[Item]:
        for each in references(self._module.fields, members):
            external = self._externals.get(without_indexes(each.path))
            if external is not None:
                value = external.value_of(each)
                if not value or self._directory.with_value(external.target, external.field, value) is None:
                    yield invalid(f"{each.path}.{external.field}", position, EXTERNAL_INVALID)
            else:
                yield from self._reference(each, position)

    def _reference(self, each: Reference, position: int) -> Iterator[Item]:
        if "id" not in each.value and not self._by_value.get(each.module, _NONE).isdisjoint(each.value):
            # Without the header only the id counts (external-id pages).
            yield error(MANDATORY_NOT_FOUND, "required field not found", place(f"{each.path}.id", position))
        if each.type is FieldType.MULTISELECTLOOKUP and each.id in self._locked:
            yield _locked(each, position)
        if each.id is None or not self._lookups_exist:
            return
        if not self._directory.is_there(each.module, each.id):
            yield invalid(f"{each.path}.id", position, ID_INVALID)

    def _links(self, members: Members) -> Iterator[tuple[str, int]]:
        for each in references(self._module.fields, members):
            external = self._externals.get(without_indexes(each.path))
            if external is not None:
                value = external.value_of(each)
                target = self._directory.with_value(external.target, external.field, value)
                assert target is not None, "a record with a bad external value has failed before"
                yield each.path, target


def _missing_by(rule: LayoutRule, members: Members, position: int) -> Iterator[Item]:
    for name in rule.mandatory:
        if _blank(members.get(name)):
            named = {"layout_rule": {"name": rule.name, "id": rule.id}}
            yield error(MANDATORY_NOT_FOUND, "required field not found", {**place(name, position), **named})


def _locked(reference: Reference, position: int) -> Item:
    message = "Sorry, you cannot perform this operation as the record is locked."
    details = {**place(f"{reference.path}.id", position), "action": "record_locking"}
    return error("RECORD_LOCKED", message, details)


def _holds(when: When, members: Members) -> bool:
    value = members.get(when.field)
    # Numbers with a point come as they are written.
    return value == when.value or (isinstance(when.value, float) and value == str(when.value))


def _blank(value: object) -> bool:
    return value is None or value in ("", [], {}) or (isinstance(value, str) and not value.strip())


def _id_of(value: object) -> str:
    """The id of an object that has one, or an id by itself; empty where there is none."""
    found = value.get("id") if isinstance(value, dict) else value
    return str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""
