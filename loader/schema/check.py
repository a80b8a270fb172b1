"""Is this line a record that the module takes? A module is compiled once; each raw line is then one call.

The fast path is one typed decode whose result is thrown away; it is compiled for the keys that the input
really uses. The slow path sees only the lines that the fast path refuses, and it alone finds problems: the
fast path never passes a line that the slow path would refuse. No line is changed here, none is remembered,
and no rule is here that only the service can know (uniqueness, the options of a picklist, what a layout
demands, whether a lookup's record exists). What a field takes is `shapes.py`; the slow path's words are
`explain.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from loader.schema.explain import explain, missing, split
from loader.schema.fields import Module
from loader.schema.problems import Problem
from loader.schema.shapes import mandatory_type_of, rule_of, type_of

KEYS_MAX: Final = 512
"""The fast path is compiled for no more keys than this, about what the largest modules have; lines with
others take the slow path."""

_KEY_LENGTH_MAX: Final = 100


class Checker:
    """Holds raw lines against a module.

    Text and its kin: JSON type and length, in Unicode code points (the API does not say what it counts; this
    is the assumption). Of e-mail, phone and website no more than that is checked: the API's patterns for them
    are not applied. A key that the module does not know is let through (whether the API refuses it is
    unknown), and so are keys with a leading `$` and fields that an insert may not set (the API ignores them).
    Of a repeated key the last one counts, as JSON readers have it. Null is no value at all: a problem in a
    mandatory field alone. Decimals beyond a field's are no problem: the API does not say how it rounds them.
    """

    def __init__(self, module: Module) -> None:
        self.module = module
        self._mandatory = module.mandatory
        self._rules = {field.api_name: rule_of(field) for field in module.fields}
        self._keys = {field.api_name: None for field in self._mandatory}
        self._compile()

    def problems(self, raw: bytes) -> tuple[Problem, ...]:
        """All that is wrong with this line; nothing, if it can be sent."""
        try:
            record = self._decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._explain(raw)
        for name in self._texts:
            if getattr(record, name).isspace():
                return self._explain(raw)
        return ()

    def _compile(self) -> None:
        names = {key: f"f{number}" for number, key in enumerate(self._keys)}
        struct = msgspec.defstruct(
            self.module.api_name,
            [self._member(name, key) for key, name in names.items()],
            rename={name: key for key, name in names.items()},
            kw_only=True,
            forbid_unknown_fields=True,
            gc=False,
        )
        # The hook lets a number through that no float holds: nothing forbids it where nothing is known.
        self._decode = msgspec.json.Decoder(struct, float_hook=str).decode
        self._texts = tuple(
            name for key, name in names.items() if key in self._rules and self._rules[key].watched
        )

    def _member(self, name: str, key: str) -> tuple[str, Any] | tuple[str, Any, Any]:
        rule = self._rules.get(key)
        if rule is None:
            return (name, Any, None)
        if rule.mandatory:
            return (name, mandatory_type_of(rule))
        return (name, type_of(rule) | None, None)

    def _explain(self, raw: bytes) -> tuple[Problem, ...]:
        values = split(raw)
        if isinstance(values, Problem):
            return (values,)
        problems = [missing(field) for field in self._mandatory if field.api_name not in values]
        for key, value in values.items():
            problems.extend(explain(key, value, self._rules.get(key)))
        if not problems:
            self._learn(values)
        return tuple(problems)

    def _learn(self, keys: Iterable[str]) -> None:
        room = KEYS_MAX - len(self._keys)
        new = [key for key in keys if key not in self._keys and _compilable(key)][:room]
        if new:
            self._keys |= dict.fromkeys(new)
            self._compile()


def _compilable(key: str) -> bool:
    """Not every JSON key can be a member's name: those that need escapes take the slow path."""
    return len(key) <= _KEY_LENGTH_MAX and not any(char in '"\\' or char < " " for char in key)
