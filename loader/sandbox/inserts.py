"""What becomes of an insert's records: which are applied, and the item of the answer for each.

It decides and changes nothing; `inserting.py` has the decision applied, with nothing in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, Final

import msgspec

from loader.sandbox import answers
from loader.sandbox.answers import Answer, Item, SuccessTemplate, User
from loader.sandbox.approval import is_unapproved, some_may_be
from loader.sandbox.catalogue import Keys, Served
from loader.sandbox.examination import Examination
from loader.sandbox.options import NONE, Options, options_of
from loader.sandbox.problem_items import Clash, duplicate_item, problem_item
from loader.sandbox.recurrence import occurrences
from loader.sandbox.store import NewRecord
from loader.sandbox.switches import Statuses
from loader.schema.activities import is_recurring
from loader.schema.problems import NOT_JSON
from loader.wire.limits import RECORDS_PER_CALL_MAX

_OPTION_NAMES: Final = ("trigger", "lar_id", "apply_feature_execution", "skip_feature_execution")


class _Envelope(msgspec.Struct):
    """The body; other keys parallel to `data` are accepted and have no effect."""

    data: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    trigger: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    lar_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    apply_feature_execution: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    skip_feature_execution: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Body(msgspec.Struct, frozen=True):
    """An insert's body: its records, each as it is written there, and its options."""

    records: list[bytes]
    options: Options | Item = NONE
    """An item: what is wrong with them."""


def read_body(body: bytes) -> Body | Answer:
    """What the body says, or why it is refused as a whole."""
    try:
        envelope = _ENVELOPE.decode(body)
        given = {
            name: msgspec.json.decode(value)
            for name in _OPTION_NAMES
            if isinstance(value := getattr(envelope, name), msgspec.Raw)
        }
    except _UNREADABLE:
        return _why_not(body)
    if not envelope.data:
        return answers.DATA_MISSING
    if len(envelope.data) > RECORDS_PER_CALL_MAX:
        return answers.too_many_records(RECORDS_PER_CALL_MAX)
    return Body([bytes(each) for each in envelope.data], options_of(**given) if given else NONE)


def _why_not(body: bytes) -> Answer:
    try:
        _MEMBERS.decode(body)
    except _UNREADABLE:
        return answers.BODY_NOT_AN_OBJECT
    return answers.DATA_NOT_AN_ARRAY


class Known(msgspec.Struct, frozen=True):
    """What is known of the records that there are, and of who adds to them."""

    owners: Callable[[str, Sequence[str]], Mapping[str, int]]
    """Field and values -> which of the values are taken, and by which records."""
    creator: Callable[[int], User]
    """Of a record that there is."""
    user: User
    """Who makes the call."""
    first_id: int
    today: date


class Decision(msgspec.Struct, frozen=True):
    """What is to be applied, and the items of the records that failed, by position."""

    records: tuple[NewRecord, ...]
    failed: Mapping[int, Item]
    unapproved: frozenset[int] = frozenset()
    """Ids of records that wait for approval."""

    def answer(self, template: SuccessTemplate, statuses: Statuses, *, paths: bool = True) -> Answer:
        """The answer, once the records are applied; `paths`: errors say where in the body they are."""
        if not self.failed and not self.unapproved:
            return answers.all_inserted(template.items(self.records[0].id, len(self.records)))
        items: dict[int, list[bytes]] = {}
        for position, failure in self.failed.items():
            shown = failure if paths else answers.without_paths(failure)
            items[position] = [msgspec.json.encode(shown)]
        for each in self.records:
            item = template.item(each.id, unapproved=each.id in self.unapproved)
            items.setdefault(each.position, []).append(item)
        status = statuses.of(failed=len(self.failed), inserted=len(self.records))
        return answers.inserted([item for position in sorted(items) for item in items[position]], status)


def decide(
    served: Served, raws: Sequence[bytes], known: Known, examination: Examination | None = None
) -> Decision | Answer:
    """Judges each record by itself and then by its unique values; the first of a call to name a value has it.

    An answer instead: bytes that no JSON reader takes, which spoil the whole body.
    """
    failed: dict[int, Item] = {}
    keys: dict[int, Keys] = {}
    stored, links = list(raws), dict[int, tuple[tuple[str, int], ...]]()
    for position, raw in enumerate(raws):
        problems = served.problems(raw)
        if problems and examination is not None:
            problems = examination.relevant(problems)
        if problems:
            if problems[0].code == NOT_JSON:
                return answers.BODY_NOT_AN_OBJECT
            failed[position] = problem_item(problems[0], position)
            continue
        if examination is not None:
            examined = examination.examine(raw, position)
            if examined.failure is not None:
                failed[position] = examined.failure
                continue
            stored[position], links[position] = examined.raw, examined.links
        keys[position] = served.keys(stored[position], known.user.id)
    records = _records(served, stored, keys, known, failed)
    if links:
        records = [
            msgspec.structs.replace(each, links=links[each.position]) if links[each.position] else each
            for each in records
        ]
    unapproved: frozenset[int] = frozenset()
    if some_may_be(raws):
        unapproved = frozenset(each.id for each in records if is_unapproved(each.raw))
    return Decision(tuple(records), failed, unapproved)


def _records(
    served: Served, raws: Sequence[bytes], keys: Mapping[int, Keys], known: Known, failed: dict[int, Item]
) -> list[NewRecord]:
    """What is applied of the records that are right by themselves; those that are not join the failed."""
    taken = _taken(served, keys.values(), known) if served.unique else {}
    ours: set[int] = set()
    records: list[NewRecord] = []
    for position, pairs in keys.items():
        clashes = [(field, taken[field, value]) for field, value in pairs if (field, value) in taken]
        if clashes:
            failed[position] = _clash_item(served, clashes, position, known, ours)
            continue
        new = NewRecord(known.first_id + len(records), position, raws[position], pairs)
        records.append(new)
        if pairs:
            taken.update(dict.fromkeys(pairs, new.id))
            ours.add(new.id)
        if served.recurs and is_recurring(new.raw):
            first_id = known.first_id + len(records)
            later = occurrences(new.raw, today=known.today)[1:]
            records.extend(NewRecord(first_id + n, position, raw) for n, raw in enumerate(later))
    return records


def _taken(served: Served, keys: Any, known: Known) -> dict[tuple[str, str], int]:
    wanted: dict[str, list[str]] = {field.api_name: [] for field in served.unique}
    for pairs in keys:
        for field, value in pairs:
            wanted[field].append(value)
    return {
        (field, value): owner
        for field, values in wanted.items()
        if values
        for value, owner in known.owners(field, values).items()
    }


def _clash_item(
    served: Served, clashes: Sequence[tuple[str, int]], position: int, known: Known, ours: set[int]
) -> Item:
    found = [
        Clash(field, record_id, known.user if record_id in ours else known.creator(record_id))
        for field, record_id in clashes
    ]
    return duplicate_item(found, position, module=served.module.api_name, module_id=served.id)
