"""Are these lines records that the module takes? A module is compiled once, a batch is then one call.

The fast path is one typed decode for each line, and one search over those values of all of them that have a
pattern; it is compiled for the keys that the input really uses. Where a rule joins several fields and
the input uses them, the line is decoded once more for it. The slow path sees only the lines that the fast
path refuses, and it alone finds problems: the fast path never passes a line that the slow path would refuse.
No line is changed here, none is remembered, and no rule is here that only the service can know (uniqueness,
whether a lookup's record exists, an organisation's layout rules). What a field takes is `shapes.py`; the slow
path's words are `explain.py`; what fields must be to each other is `rules.py` and `placement.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec

from loader.schema.cross import CrossRule
from loader.schema.explain import explain, missing
from loader.schema.fields import Layout, Module
from loader.schema.members import split
from loader.schema.patterns import SEAM, all_plain, is_fine
from loader.schema.placement import named_layout, placement_rules, takes
from loader.schema.problems import Problem
from loader.schema.rules import rules_of
from loader.schema.shapes import (
    RECORD_KEYS,
    Rule,
    any_member,
    look_for_decimals,
    mandatory_type_of,
    member_of,
    rule_of,
    type_of,
)

KEYS_MAX: Final = 512
"""The fast path is compiled for no more keys than this, about what the largest modules have; lines with
others take the slow path."""

_KEY_LENGTH_MAX: Final = 100

# Rules compare numbers: one that no float holds is infinite to them.
_WHOLE: Final[msgspec.json.Decoder[dict[str, Any]]] = msgspec.json.Decoder(dict[str, Any], float_hook=float)
_VALUE: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(Any, float_hook=float)


class Checker:
    """Holds raw lines against a module.

    Text and its kin: JSON type and length, in Unicode code points (the API does not say what it counts; this
    is the assumption); e-mail, phone and website also the API's patterns, an empty string being no value. A
    key that the module does not know is let through (whether the API refuses it is unknown), and so are
    fields that an insert may not set or that are not in the layout that the record names (the API ignores
    them). Of a repeated key the last one counts, as JSON readers have it. Null is no value at all: a problem
    in a mandatory field alone. Decimals beyond a field's own are no problem, as it may round to them; beyond
    the 9 of the page they are. A picklist takes new values, unless the page or `strict_picklists` closes it.

    A module without any field holds lines against nothing but JSON.

    Args:
        module: its fields, and its layouts as far as they are known.
        now: Unix seconds; without it no scheduled call is in the past.
        layout_id: the layout that a record gets if it names none.
        strict_picklists: a value that is not among a picklist's options is a problem.
    """

    def __init__(
        self,
        module: Module,
        *,
        now: Callable[[], float] | None = None,
        layout_id: str = "",
        strict_picklists: bool = False,
    ) -> None:
        self.module = module
        self._now = now
        self._layout_id = layout_id
        self._mandatory = module.mandatory
        self._rules: dict[str, Rule] = {}
        self._cross_rules: tuple[CrossRule, ...] = ()
        if module.fields:
            self._rules = {rule.field.api_name: rule for rule in RECORD_KEYS}
            for field in module.fields:
                self._rules[field.api_name] = rule_of(field, strict=strict_picklists)
            said = {field.api_name for field in self._mandatory}
            rules = (rule for rule in rules_of(module.api_name) if rule.mandatory not in said)
            self._cross_rules = (*rules, *placement_rules(module, layout_id))
        self._row_keys: dict[str, dict[str, None]] = {}
        self._keys = {field.api_name: None for field in self._mandatory}
        self._compile()

    @property
    def ignored(self) -> tuple[str, ...]:
        """Keys of good lines so far that the API ignores: of no field, or of one that inserts do not set.

        In the order in which they were met. It costs no line anything, for the fast path is compiled for the
        keys in use; keys that it is not compiled for (`KEYS_MAX`) are not among them.
        """
        if not self.module.fields:
            return ()
        return tuple(
            key
            for key in self._keys
            if not key.startswith("$") and not ((rule := self._rules.get(key)) and rule.field.creatable)
        )

    def problems(self, raw: bytes) -> tuple[Problem, ...]:
        """All that is wrong with this line; nothing, if it can be sent."""
        return self.problems_of((raw,))[0]

    def problems_of(self, raws: Sequence[bytes]) -> list[tuple[Problem, ...]]:
        """`problems` of each of these lines, for less than their sum."""
        found: list[tuple[Problem, ...]] = []
        while len(found) < len(raws):
            fast = self._fast
            records: list[msgspec.Struct] = []
            # What was decoded before a line that cannot be stays in the list.
            with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                records.extend(map(fast.decode, raws[len(found) :] if found else raws))
            found += self._judged(records, raws[len(found) :] if found else raws, fast)
            if len(found) < len(raws):
                found.append(self._explain(raws[len(found)]))
        return found

    def _judged(
        self, records: Sequence[msgspec.Struct], raws: Sequence[bytes], fast: _Fast
    ) -> list[tuple[Problem, ...]]:
        """What is wrong with the lines that these records were decoded from."""
        plain = not fast.crossing and fast.all_plain(fast.join(records), len(records))
        if plain and not fast.too_fine(records):
            return [()] * len(records)
        return [
            () if self._is_fine(record, raw, fast) else self._explain(raw)
            for record, raw in zip(records, raws, strict=False)
        ]

    def _is_fine(self, record: msgspec.Struct, raw: bytes, fast: _Fast) -> bool:
        if not fast.all_plain(fast.join((record,)), 1) and not all(
            is_fine(kind, getattr(record, f"w{number}")) for number, kind in enumerate(fast.kinds)
        ):
            return False
        if fast.too_fine((record,)):
            return False
        return not fast.crossing or not any(self._crossed(_WHOLE.decode(raw), fast.crossing))

    def _compile(self) -> None:
        watched = {key: rule.shape for key in self._keys if (rule := self._rules.get(key)) and rule.watched}
        names = {key: f"f{number}" for number, key in enumerate(self._keys)}
        names |= {key: f"w{number}" for number, key in enumerate(watched)}
        numbers = {key: rule for key in self._keys if (rule := self._rules.get(key)) and rule.counts_decimals}
        names |= {key: f"n{number}" for number, key in enumerate(numbers)}
        struct = msgspec.defstruct(
            self.module.api_name,
            [self._member(name, key) for key, name in names.items()],
            rename={name: key for key, name in names.items()},
            kw_only=True,
            forbid_unknown_fields=True,
            gc=False,
        )
        # The hook lets a number through that no float holds: nothing forbids it where nothing is known.
        decode = msgspec.json.Decoder(struct, float_hook=str).decode
        kinds = tuple(watched.values())
        crossing = tuple(rule for rule in self._cross_rules if rule.concerns(self._keys))
        too_fine = _decimals_looked_for({names[key]: rule for key, rule in numbers.items()})
        self._fast = _Fast(decode, kinds, _joiner(len(kinds)), all_plain(kinds), too_fine, crossing)

    def _member(self, name: str, key: str) -> tuple[str, Any] | tuple[str, Any, Any]:
        rule = self._rules.get(key)
        if rule is None:
            return (name, Any, None)
        rule = rule.with_unknown(self._row_keys.get(key, ()))
        return member_of(name, rule, mandatory_type_of(rule) if rule.mandatory else type_of(rule))

    def _crossed(self, record: Mapping[str, Any], rules: Iterable[CrossRule]) -> Iterator[Problem]:
        now = self._now() if self._now is not None else None
        for rule in rules:
            yield from rule(record, now)

    def _explain(self, raw: bytes) -> tuple[Problem, ...]:
        values = split(raw)
        if isinstance(values, Problem):
            return (values,)
        layout = self._layout_of(values)
        problems = [missing(field) for field in self._mandatory if field.api_name not in values]
        for key, value in values.items():
            problems.extend(explain(key, value, self._rule(key, layout)))
        if self._cross_rules:
            problems.extend(self._crossed(_readable(values), self._cross_rules))
        if not problems:
            self._learn_rows(values)
            self._learn(values)
        return _each_once(problems)

    def _layout_of(self, values: Mapping[str, msgspec.Raw]) -> Layout | None:
        if not self.module.layouts:
            return None
        given = values.get("Layout")
        named = _readable({"Layout": given}).get("Layout") if given is not None else None
        return named_layout(self.module, named, self._layout_id)

    def _rule(self, key: str, layout: Layout | None) -> Rule | None:
        """What the value of this key is held against: nothing, if the layout has the API ignore it."""
        rule = self._rules.get(key)
        if rule is None or layout is None or rule.mandatory or takes(layout, key):
            return rule
        return None

    def _learn_rows(self, values: Mapping[str, msgspec.Raw]) -> None:
        """Rows may have keys that nobody knows, too."""
        grown = False
        for key, raw in values.items():
            rule = self._rules.get(key)
            if rule is None or not rule.rows:
                continue
            known = self._row_keys.setdefault(key, {})
            before = len(known)
            unknown = [name for name in _keys_of_rows(raw) if not rule.has_cell(name) and name not in known]
            known |= dict.fromkeys(filter(_compilable, unknown[: KEYS_MAX - before]))
            grown = grown or len(known) > before
        if grown:
            self._compile()

    def _learn(self, keys: Iterable[str]) -> None:
        room = KEYS_MAX - len(self._keys)
        new = [key for key in keys if key not in self._keys and _compilable(key)][:room]
        if new:
            self._keys |= dict.fromkeys(new)
            self._compile()


class _Fast(NamedTuple):
    """The fast path, compiled for some keys."""

    decode: Callable[[bytes], msgspec.Struct]
    kinds: tuple[str, ...]
    """Of the members `w0`, `w1` ... of a decoded record: texts to look at."""
    join: Callable[[Sequence[Any]], str]
    all_plain: Callable[[str, int], bool]
    too_fine: Callable[[Sequence[Any]], object]
    """Whether a number of one of them has more decimals than it may."""
    crossing: tuple[CrossRule, ...]


def _each_once(problems: list[Problem]) -> tuple[Problem, ...]:
    """What a field's facts and a rule both say is one problem."""
    by_place: dict[tuple[str, str], Problem] = {}
    for problem in problems:
        by_place.setdefault((problem.code, problem.path), problem)
    return tuple(by_place.values())


def _decimals_looked_for(rules: Mapping[str, Rule]) -> Callable[[Sequence[Any]], object]:
    """Whether a number of these decoded records has more decimals than it may, which no type can say.

    `rules`: by the names of the members.
    """
    looks = [(name, look_for_decimals(rule)) for name, rule in rules.items()]
    if not looks:
        return lambda _: False
    if len(rules) == 1 and rules["n0"].decimals is not None:
        only = looks[0][1]
        # `is_coarse` without its calls: most records have one number. Adding and taking away 1.5 * 2**52
        # leaves whole numbers below 2**51 as they are, and no others; what is larger is looked at again.
        return lambda rs: [
            n
            for r in rs
            if (n := r.n0)
            and not ((m := n * 1e6) + 6755399441055744.0 - 6755399441055744.0 == m and m / 1e6 == n)
            and only(n)
        ]
    look = any_member(looks)
    return lambda rs: any(map(look, rs))


def _joiner(count: int) -> Callable[[Sequence[Any]], str]:
    """A function that gives the first texts of each record, a seam behind each; null is the plain `None`."""
    if count < len(_JOINED):
        return _JOINED[count]
    get = attrgetter(*(f"w{number}" for number in range(count)))
    return lambda records: "".join([f"{text}{SEAM}" for record in records for text in get(record)])


# Written out, as it is half of what a loop or `attrgetter` costs; Leads has eight.
_JOINED: Final[tuple[Callable[[Sequence[Any]], str], ...]] = (
    lambda _: "",
    lambda rs: "".join([f"{r.w0}\n" for r in rs]),
    lambda rs: "".join([f"{r.w0}\n{r.w1}\n" for r in rs]),
    lambda rs: "".join([f"{r.w0}\n{r.w1}\n{r.w2}\n" for r in rs]),
    lambda rs: "".join([f"{r.w0}\n{r.w1}\n{r.w2}\n{r.w3}\n" for r in rs]),
    lambda rs: "".join([f"{r.w0}\n{r.w1}\n{r.w2}\n{r.w3}\n{r.w4}\n" for r in rs]),
    lambda rs: "".join([f"{r.w0}\n{r.w1}\n{r.w2}\n{r.w3}\n{r.w4}\n{r.w5}\n" for r in rs]),
    lambda rs: "".join([f"{r.w0}\n{r.w1}\n{r.w2}\n{r.w3}\n{r.w4}\n{r.w5}\n{r.w6}\n" for r in rs]),
    lambda rs: "".join([f"{r.w0}\n{r.w1}\n{r.w2}\n{r.w3}\n{r.w4}\n{r.w5}\n{r.w6}\n{r.w7}\n" for r in rs]),
)


def _readable(values: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
    """The values that can be read; of one that cannot, `explain` says why."""
    record: dict[str, Any] = {}
    for key, raw in values.items():
        try:
            record[key] = _VALUE.decode(raw)
        except msgspec.ValidationError:
            continue
    return record


def _keys_of_rows(raw: msgspec.Raw) -> Iterator[str]:
    rows = _VALUE.decode(raw)
    for row in rows if isinstance(rows, list) else ():
        yield from row if isinstance(row, dict) else ()


def _compilable(key: str) -> bool:
    """Not every JSON key can be a member's name: those that need escapes take the slow path."""
    return len(key) <= _KEY_LENGTH_MAX and not any(char in '"\\' or char < " " for char in key)
