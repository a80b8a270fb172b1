"""What becomes of an insert's records: which are applied, and the item of the answer for each.

It decides and changes nothing; `handlers.py` has the decision applied, with nothing in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from loader.sandbox import answers
from loader.sandbox.answers import Answer, SuccessTemplate, User
from loader.sandbox.catalogue import Served
from loader.sandbox.store import NewRecord
from loader.schema.problems import MANDATORY_NOT_FOUND, NOT_AN_OBJECT, NOT_JSON, Problem
from loader.wire.limits import RECORDS_PER_CALL_MAX


class _Envelope(msgspec.Struct):
    """The body: what stands parallel to `data` (trigger, lar_id ...) is accepted and has no effect here."""

    data: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])

Owners = Callable[[str, Sequence[str]], Mapping[str, int]]
"""Field and values -> which of the values are taken, and by which records."""


def records_in(body: bytes) -> list[bytes] | Answer:
    """The records of an insert's body, each as it is written there, or why it is refused as a whole."""
    try:
        data = _ENVELOPE.decode(body).data
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _why_not(body)
    if not data:
        return answers.DATA_MISSING
    if len(data) > RECORDS_PER_CALL_MAX:
        return answers.too_many_records(RECORDS_PER_CALL_MAX)
    return [bytes(each) for each in data]


def _why_not(body: bytes) -> Answer:
    try:
        _MEMBERS.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return answers.BODY_NOT_AN_OBJECT
    return answers.DATA_NOT_AN_ARRAY


class Decision(msgspec.Struct, frozen=True):
    """What is to be applied, and the items of the records that failed, by position."""

    records: tuple[NewRecord, ...]
    failed: Mapping[int, bytes]

    def answer(self, template: SuccessTemplate) -> Answer:
        """The answer, once the records are applied."""
        if not self.failed:
            return answers.all_inserted(template.items(self.records[0].id, len(self.records)))
        items = dict(self.failed) | {each.position: template.item(each.id) for each in self.records}
        return answers.inserted([items[position] for position in sorted(items)], failed=len(self.failed))


def decide(
    served: Served, raws: Sequence[bytes], *, owners: Owners, first_id: int, user: User
) -> Decision | Answer:
    """Judges each record by itself and then by its unique values; the first of a call to name a value has it.

    An answer instead: bytes that no JSON reader takes, which spoil the whole body.
    """
    failed: dict[int, bytes] = {}
    keys: dict[int, tuple[tuple[str, str], ...]] = {}
    for position, raw in enumerate(raws):
        problems = served.problems(raw)
        if not problems:
            keys[position] = served.keys(raw)
        elif problems[0].code == NOT_JSON:
            return answers.BODY_NOT_AN_OBJECT
        else:
            failed[position] = _problem_item(problems[0], position)
    taken = _taken(served, keys.values(), owners) if served.unique else {}
    records: list[NewRecord] = []
    for position, pairs in keys.items():
        clashes = [(field, taken[field, value]) for field, value in pairs if (field, value) in taken]
        if clashes:
            failed[position] = _duplicate_item(clashes, position, served=served, user=user)
            continue
        new = NewRecord(first_id + len(records), position, raws[position], pairs)
        records.append(new)
        taken.update(dict.fromkeys(pairs, new.id))
    return Decision(tuple(records), failed)


def _taken(served: Served, keys: Any, owners: Owners) -> dict[tuple[str, str], int]:
    wanted: dict[str, list[str]] = {field.api_name: [] for field in served.unique}
    for pairs in keys:
        for field, value in pairs:
            wanted[field].append(value)
    return {
        (field, value): owner
        for field, values in wanted.items()
        if values
        for value, owner in owners(field, values).items()
    }


def _problem_item(problem: Problem, position: int) -> bytes:
    """The first thing that is wrong: only of duplicates do the API's pages speak of several together."""
    if problem.code == MANDATORY_NOT_FOUND:
        details = _place(problem.path or problem.field, position)
        return answers.error_item(MANDATORY_NOT_FOUND, "required field not found", details)
    details = {}
    if problem.code == NOT_AN_OBJECT:
        details["expected_data_type"] = "jsonobject"
    if problem.expected_data_type:
        details["expected_data_type"] = problem.expected_data_type
    if problem.maximum_length is not None:
        details["maximum_length"] = problem.maximum_length
    details |= _place(problem.path or problem.field, position)
    return answers.error_item("INVALID_DATA", "invalid data", details)


def _place(path: str, position: int) -> dict[str, Any]:
    record = f"$.data[{position}]"
    if not path:
        return {"json_path": record}
    return {"api_name": path.rpartition(".")[2], "json_path": f"{record}.{path}"}


def _duplicate_item(
    clashes: Sequence[tuple[str, int]], position: int, *, served: Served, user: User
) -> bytes:
    errors = [
        {
            "code": "DUPLICATE_DATA",
            "details": {
                "api_name": field,
                "duplicate_record": {
                    "Owner": user.reference | {"zuid": user.zuid},
                    "module": {"api_name": served.module.api_name, "id": served.id},
                    "id": str(owner),
                },
                "json_path": f"$.data[{position}].{field}",
                "id": str(owner),
                "more_records": False,
            },
            "message": "duplicate data",
            "status": "error",
        }
        for field, owner in clashes
    ]
    if len(errors) == 1:
        return msgspec.json.encode(errors[0])
    return answers.error_item(
        "MULTIPLE_OR_MULTI_ERRORS", "Multiple errors in the request", {"errors": errors}
    )
