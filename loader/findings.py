"""What a check finds in an input: problems by field and code, and what a person may want to know besides.

Tables of a bounded size, whatever the input: an example, the first lines and a count for each kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from loader.schema.fields import Field, Module
from loader.schema.problems import Problem

KINDS_MAX: Final = 1_000
"""Different findings that are kept; the rest is counted together."""
LINES_MAX: Final = 5
"""Line numbers that are kept of each."""
_VALUES_MAX: Final = 10_000


class Note(StrEnum):
    """What is no problem, and may still be a mistake."""

    NEW_OPTION = "new option"
    SHOWN_OPTION = "shown option"
    UNKNOWN_FIELD = "unknown field"
    NOT_SET_BY_INSERTS = "not set by inserts"


ADVICE: Final[Mapping[Note, str]] = {
    Note.NEW_OPTION: "is none of the picklist's options: the API adds it as a new one",
    Note.SHOWN_OPTION: "is what people see of an option whose value is another: the API adds it as a new one",
    Note.UNKNOWN_FIELD: "the module has no such field: the API ignores it",
    Note.NOT_SET_BY_INSERTS: "the API ignores what an insert gives for it",
}


class Finding(msgspec.Struct):
    """One kind of finding, with how often and where."""

    code: str
    field: str
    message: str
    """Of its first line."""
    count: int = 0
    lines: list[int] = msgspec.field(default_factory=list)
    """The first few, 1-based."""


class Findings:
    """Takes problems and records; adds up what they are."""

    def __init__(self, module: Module) -> None:
        self.problems: dict[tuple[str, str], Finding] = {}
        self.notes: dict[tuple[str, str], Finding] = {}
        self.left_out = 0
        """Findings of kinds beyond `KINDS_MAX`."""
        self._fields = {field.api_name: field for field in module.fields}
        self._watched = {field.api_name: _choices(field) for field in module.fields if field.options}
        self._verdicts: dict[tuple[str, bytes], tuple[tuple[Note, str], ...]] = {}

    def add_problems(self, line: int, problems: Iterable[Problem]) -> None:
        """All that is wrong with a line, each kind once."""
        for code, field, message in dict.fromkeys((one.code, one.field, one.message) for one in problems):
            self._add(self.problems, code, field, message, line)

    def add_record(self, line: int, members: Mapping[str, msgspec.Raw]) -> None:
        """What there is to say of a record that may be sent."""
        for key, raw in members.items():
            field = self._fields.get(key)
            if field is None:
                if not key.startswith("$"):
                    self._note(Note.UNKNOWN_FIELD, key, key, line)
            elif not field.creatable:
                self._note(Note.NOT_SET_BY_INSERTS, key, key, line)
            elif key in self._watched:
                for note, value in self._about(key, bytes(raw)):
                    self._note(note, key, f"{key} {value!r}", line)

    def _note(self, note: Note, field: str, subject: str, line: int) -> None:
        self._add(self.notes, note.value, field, f"{subject}: {ADVICE[note]}", line)

    def _about(self, key: str, raw: bytes) -> tuple[tuple[Note, str], ...]:
        known = self._verdicts.get((key, raw))
        if known is None:
            known = tuple(_judge(self._watched[key], _values(raw)))
            if len(self._verdicts) < _VALUES_MAX:
                self._verdicts[key, raw] = known
        return known

    def _add(
        self, table: dict[tuple[str, str], Finding], code: str, field: str, message: str, line: int
    ) -> None:
        found = table.get((code, field))
        if found is None:
            if len(table) >= KINDS_MAX:
                self.left_out += 1
                return
            found = table[code, field] = Finding(code, field, message)
        found.count += 1
        if len(found.lines) < LINES_MAX and found.lines[-1:] != [line]:
            found.lines.append(line)


class _Choices(msgspec.Struct, frozen=True):
    values: frozenset[str]
    shown: Mapping[str, str]


def _choices(field: Field) -> _Choices:
    shown = {option.shown: option.value for option in field.options if option.shown}
    return _Choices(frozenset(option.value for option in field.options), shown)


def _values(raw: bytes) -> list[str]:
    value: Any = msgspec.json.decode(raw)
    listed = value if isinstance(value, list) else [value]
    return [each for each in listed if isinstance(each, str) and each]


def _judge(choices: _Choices, values: Iterable[str]) -> Iterable[tuple[Note, str]]:
    for value in values:
        if value in choices.values:
            continue
        yield (Note.SHOWN_OPTION if value in choices.shown else Note.NEW_OPTION), value
