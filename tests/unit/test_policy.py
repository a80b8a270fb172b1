"""The verdict tables, row by row: what each reply proves about the records that were sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from loader.delivery.policy import FAULTS, Remedy, Stop, Verdict, judge
from loader.delivery.refusals import stop_error
from loader.outcomes import Cause, Outcome
from loader.records import Attempt
from loader.wire.codes import CODES, MEND
from loader.wire.messages import Fault, HttpReply, NoReply, Reply

LINES = (11, 12, 13)
FRESH = Attempt(4, 1, LINES, [b'{"Last_Name":"a"}', b'{"Last_Name":"b"}', b'{"Last_Name":"c"}'])
IN_DOUBT = msgspec.structs.replace(FRESH, number=2, in_doubt=True, doubt_since=1000.0)
ONE = Attempt(4, 1, [11], [b'{"Last_Name":"a"}'])
IDS = ("5000000000011", "5000000000012", "5000000000013")

both = pytest.mark.parametrize("attempt", [FRESH, IN_DOUBT], ids=["fresh", "in doubt"])


class Expected(msgspec.Struct, frozen=True):
    """What a reply to a whole attempt has to come to."""

    applied: str
    """no: proved not applied; doubt: nobody knows."""
    remedy: Remedy | None = None
    stop: Stop | None = None


DOUBT = Expected("doubt")


def require(verdict: Verdict, attempt: Attempt, expected: Expected) -> None:
    require_each_line_once(verdict, attempt)
    lines = list(attempt.lines)
    assert list(verdict.again) == (lines if expected.applied == "no" else [])
    assert list(verdict.doubtful) == (lines if expected.applied == "doubt" else [])
    assert (verdict.remedy, verdict.stop) == (expected.remedy, expected.stop)
    assert not verdict.passed
    assert verdict.reason


def require_each_line_once(verdict: Verdict, attempt: Attempt) -> None:
    parts = [
        *verdict.settlement.lines,
        *(one.line for one in verdict.settlement.others),
        *verdict.again,
        *verdict.doubtful,
        *(claim.line for claim in verdict.claims),
    ]
    assert sorted(parts) == sorted(attempt.lines)
    assert len(verdict.settlement.lines) == len(verdict.settlement.ids)


def reply(status: int, body: object = b"", **headers: str) -> HttpReply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpReply(status, raw, headers, 0.5)


def success(identifier: object = IDS[0]) -> dict[str, Any]:
    return {
        "code": "SUCCESS",
        "status": "success",
        "message": "record added",
        "details": {"id": identifier},
    }


def error(code: str, **details: object) -> dict[str, Any]:
    return {"code": code, "status": "error", "message": "because", "details": details}


def answers(*items: dict[str, Any], status: int = 207) -> HttpReply:
    return reply(status, {"data": list(items)})


def bare(status: int, code: str) -> HttpReply:
    return reply(status, {"code": code, "status": "error", "message": "because", "details": {}})


# --- the table of transport faults ---

TRANSPORT = {
    "refused, no route, no such name": (Fault.UNREACHABLE, Expected("no", Remedy.WAIT_FOR_SERVICE)),
    "certificate": (Fault.CERTIFICATE, Expected("no", stop=Stop.CONFIGURATION)),
    "connect time-out": (Fault.CONNECT_TIMEOUT, Expected("no", Remedy.WAIT_FOR_SERVICE)),
    "body not handed over whole": (Fault.NOT_HANDED_OVER, Expected("no", Remedy.WAIT_FOR_SERVICE)),
    "closed or reset after the body": (Fault.DISCONNECTED, DOUBT),
    "no answer in time": (Fault.NO_ANSWER_IN_TIME, DOUBT),
    "answer cut or broken": (Fault.BROKEN_ANSWER, DOUBT),
    "anything that nobody thought of": (Fault.UNKNOWN, DOUBT),
}


@both
@pytest.mark.parametrize("row", TRANSPORT)
def test_transport_fault(row: str, attempt: Attempt) -> None:
    fault, expected = TRANSPORT[row]
    require(judge(attempt, NoReply(fault, "what happened", 0.1)), attempt, expected)


def test_each_transport_fault_has_a_row() -> None:
    assert {fault for fault, _ in TRANSPORT.values()} == set(Fault) == set(FAULTS)


# --- what the vendor takes no credits for ---

CAUSES: dict[str, tuple[Reply, Cause]] = {
    "no connection": (NoReply(Fault.UNREACHABLE, "refused", 0.1), Cause.UNREACHED),
    "no certificate": (NoReply(Fault.CERTIFICATE, "expired", 0.1), Cause.UNREACHED),
    "no connection in time": (NoReply(Fault.CONNECT_TIMEOUT, "10 s", 0.1), Cause.UNREACHED),
    "a body that was not handed over whole": (NoReply(Fault.NOT_HANDED_OVER, "reset", 0.1), Cause.OTHER),
    "a 429": (reply(429), Cause.PUSHED_BACK),
    "too many calls under another status": (bare(400, "TOO_MANY_REQUESTS"), Cause.PUSHED_BACK),
    "a token that is not valid": (bare(401, "INVALID_TOKEN"), Cause.TOKEN_REFUSED),
    "a token without the right": (bare(401, "OAUTH_SCOPE_MISMATCH"), Cause.OTHER),
    "a body that is too large": (reply(413), Cause.OTHER),
    "a refusal of the whole call": (bare(400, "INVALID_MODULE"), Cause.OTHER),
    "a locked record": (answers(error("RECORD_LOCKED"), success(), success(IDS[1])), Cause.OTHER),
}


@pytest.mark.parametrize("row", CAUSES)
def test_what_is_not_applied_says_what_it_counts_as(row: str) -> None:
    answer, cause = CAUSES[row]
    verdict = judge(FRESH, answer)
    assert verdict.again
    assert verdict.cause is cause


# --- the table of statuses ---

HTML = b"<!DOCTYPE html><html><body>Bad gateway</body></html>"
NOT_TOLD: Sequence[tuple[str, bytes]] = (
    ("an HTML page", HTML),
    ("nothing", b""),
    ("blanks", b" \n"),
    ("broken JSON", b'{"data":[{"code":"SUC'),
    ("a list", b"[]"),
    ("a text", b'"SUCCESS"'),
    ("an object without data or code", b'{"ok":true}'),
    ("data that is no list", b'{"data":{"code":"SUCCESS"}}'),
    ("no data", b'{"data":[]}'),
    ("invalid UTF-8", b'{"code":"\xff\xfe"}'),
    ("deep nesting", b'{"data":' + b"[" * 100_000),
)

NOT_APPLIED_WAIT = Expected("no", Remedy.WAIT)
PAUSE = Expected("no", Remedy.PAUSE_ALL)
HALVE = Expected("no", Remedy.HALVE)
CREDENTIALS = Expected("no", stop=Stop.CREDENTIALS)
CONFIGURATION = Expected("no", stop=Stop.CONFIGURATION)
OPTION = Expected("no", stop=Stop.OPTION)

STATUSES: dict[str, tuple[HttpReply, Expected]] = {
    "401 INVALID_TOKEN": (bare(401, "INVALID_TOKEN"), Expected("no", Remedy.RENEW_TOKEN)),
    "401 OAUTH_SCOPE_MISMATCH": (bare(401, "OAUTH_SCOPE_MISMATCH"), CREDENTIALS),
    "401 AUTHENTICATION_FAILURE": (bare(401, "AUTHENTICATION_FAILURE"), CREDENTIALS),
    "401 with a code that nobody knows": (bare(401, "BRAND_NEW"), CREDENTIALS),
    "401 with an HTML page": (reply(401, HTML), DOUBT),
    "403 NO_PERMISSION": (bare(403, "NO_PERMISSION"), CREDENTIALS),
    "403 NO_PERMISSION inside data": (answers(error("NO_PERMISSION"), status=403), CREDENTIALS),
    "403 with an HTML page": (reply(403, HTML), DOUBT),
    "404 INVALID_URL_PATTERN": (bare(404, "INVALID_URL_PATTERN"), CONFIGURATION),
    "404 with an HTML page": (reply(404, HTML), DOUBT),
    "405 INVALID_REQUEST_METHOD": (bare(405, "INVALID_REQUEST_METHOD"), CONFIGURATION),
    "406": (bare(406, "NOT_ACCEPTABLE"), CONFIGURATION),
    "415": (bare(415, "UNSUPPORTED_MEDIA_TYPE"), CONFIGURATION),
    "421": (bare(421, "MISDIRECTED"), NOT_APPLIED_WAIT),
    "408 whatever the body": (reply(408, HTML), NOT_APPLIED_WAIT),
    "425 whatever the body": (reply(425), NOT_APPLIED_WAIT),
    "413 whatever the body": (reply(413, HTML), HALVE),
    "429 whatever the body": (reply(429, HTML), PAUSE),
    "429 with successes in it": (answers(*map(success, IDS), status=429), PAUSE),
    "429 TOO_MANY_REQUESTS": (bare(429, "TOO_MANY_REQUESTS"), PAUSE),
    "400 INVALID_DATA, bare": (bare(400, "INVALID_DATA"), HALVE),
    "400 MANDATORY_NOT_FOUND, bare": (bare(400, "MANDATORY_NOT_FOUND"), HALVE),
    "400 INVALID_MODULE, bare": (bare(400, "INVALID_MODULE"), CONFIGURATION),
    "400 INVALID_MODULE inside data": (answers(error("INVALID_MODULE"), status=400), CONFIGURATION),
    "400 LIMIT_EXCEEDED for the call": (answers(error("LIMIT_EXCEEDED"), status=400), HALVE),
    "400 with resource_path_index": (
        answers(error("INVALID_DATA", resource_path_index=0), status=400),
        HALVE,
    ),
    "400 with a json_path outside data": (
        answers(error("INVALID_DATA", json_path="$.process"), status=400),
        HALVE,
    ),
    "400 for an option": (
        answers(error("INVALID_DATA", json_path="$.trigger[0]"), status=400),
        OPTION,
    ),
    "400 for an option, bare": (
        reply(400, error("INVALID_DATA", json_path="$.apply_feature_execution[0].name")),
        OPTION,
    ),
    "400 for an option with a code that nobody knows": (
        answers(error("BRAND_NEW", api_name="lar_id"), status=400),
        OPTION,
    ),
    "201 with a refusal of an option": (
        reply(201, error("INVALID_DATA", json_path="$.trigger")),
        DOUBT,
    ),
    "400 INTERNAL_ERROR, bare": (bare(400, "INTERNAL_ERROR"), DOUBT),
    "400 PROCESSING_ERROR, bare": (bare(400, "PROCESSING_ERROR"), DOUBT),
    "400 with a code that nobody knows, bare": (bare(400, "BRAND_NEW"), HALVE),
    "201 with a bare refusal": (bare(201, "INVALID_DATA"), DOUBT),
    "302": (
        reply(302, b"", location="https://elsewhere.example"),
        Expected("doubt", stop=Stop.CONFIGURATION),
    ),
    "307": (reply(307), Expected("doubt", stop=Stop.CONFIGURATION)),
    "304": (reply(304), Expected("doubt", stop=Stop.CONFIGURATION)),
    "302 with successes in it": (
        answers(*map(success, IDS), status=302),
        Expected("doubt", stop=Stop.CONFIGURATION),
    ),
    "500 INTERNAL_ERROR": (bare(500, "INTERNAL_ERROR"), DOUBT),
    "500 with successes in it": (answers(*map(success, IDS), status=500), DOUBT),
    "502": (reply(502, HTML), DOUBT),
    "503 SERVICE_UNAVAILABLE": (bare(503, "SERVICE_UNAVAILABLE"), DOUBT),
    "503 INVALID_DATA": (bare(503, "INVALID_DATA"), DOUBT),
    "504": (reply(504), DOUBT),
    "524": (reply(524), DOUBT),
    "a status that nobody knows, below 500": (bare(418, "INVALID_DATA"), DOUBT),
    "a status that nobody knows, above 500": (reply(599), DOUBT),
    "204, which promises no body": (reply(204), DOUBT),
    "a status below 200": (reply(103), DOUBT),
    "409 with answers": (answers(*map(success, IDS), status=409), DOUBT),
}


@both
@pytest.mark.parametrize("row", STATUSES)
def test_status(row: str, attempt: Attempt) -> None:
    answer, expected = STATUSES[row]
    require(judge(attempt, answer), attempt, expected)


@both
@pytest.mark.parametrize("status", [200, 201, 202, 207, 400])
@pytest.mark.parametrize("row", NOT_TOLD, ids=lambda row: row[0])
def test_a_status_that_promises_answers_and_gives_none_leaves_all_in_doubt(
    row: tuple[str, bytes], status: int, attempt: Attempt
) -> None:
    require(judge(attempt, reply(status, row[1])), attempt, DOUBT)


# --- answers for each record ---

SHAPES: dict[str, HttpReply] = {
    "too few answers": answers(success(IDS[0]), success(IDS[1]), status=201),
    "too many answers": answers(*map(success, (*IDS, "5000000000014")), status=201),
    "one success for three records": answers(success(), status=201),
    "the same id twice": answers(*map(success, (IDS[0], IDS[0], IDS[2])), status=201),
    "an id that is a number": answers(*map(success, (IDS[0], 5000000000012, IDS[2])), status=201),
    "an id that is no id": answers(*map(success, (IDS[0], "12x", IDS[2])), status=201),
    "an empty id": answers(*map(success, (IDS[0], "", IDS[2])), status=201),
    "an id that is too long": answers(*map(success, (IDS[0], "1" * 40, IDS[2])), status=201),
    "a success without details": answers(
        success(IDS[0]), {"code": "SUCCESS", "status": "success"}, success()
    ),
    "a success with an error's code": answers(
        success(IDS[0]), {**success(IDS[1]), "code": "INVALID_DATA"}, success(IDS[2])
    ),
    "an error that calls itself SUCCESS": answers(success(IDS[0]), error("SUCCESS"), success(IDS[2])),
    "an error without a code": answers(success(IDS[0]), error(""), success(IDS[2])),
    "an item that is no object": reply(207, {"data": [success(IDS[0]), None, success(IDS[2])]}),
    "a json_path that names another record": answers(
        success(IDS[0]), error("INVALID_DATA", json_path="$.data[2].Email"), success(IDS[2])
    ),
    "a json_path beyond the records": answers(
        success(IDS[0]), error("INVALID_DATA", json_path="$.data[99].Email"), success(IDS[2])
    ),
    "a json_path that makes no sense": answers(
        success(IDS[0]), error("INVALID_DATA", json_path="$.data[x]"), success(IDS[2])
    ),
    "a json_path on a success that names another record": answers(
        {**success(IDS[0]), "details": {"id": IDS[0], "json_path": "$.data[1]"}}, *map(success, IDS[1:])
    ),
    "one of several errors that names another record": answers(
        success(IDS[0]),
        error(
            "MULTIPLE_OR_MULTI_ERRORS",
            errors=[
                error("INVALID_DATA", json_path="$.data[1].Email"),
                error("INVALID_DATA", json_path="$.data[0].Phone"),
            ],
        ),
        success(IDS[2]),
    ),
}


@both
@pytest.mark.parametrize("row", SHAPES)
def test_an_answer_that_could_belong_to_another_record_leaves_all_in_doubt(
    row: str, attempt: Attempt
) -> None:
    require(judge(attempt, SHAPES[row]), attempt, DOUBT)


@both
@pytest.mark.parametrize("status", [200, 201, 202, 207, 400])
def test_successes_are_final_in_the_order_sent(status: int, attempt: Attempt) -> None:
    verdict = judge(attempt, answers(*map(success, IDS), status=status))
    require_each_line_once(verdict, attempt)
    assert (list(verdict.settlement.lines), list(verdict.settlement.ids)) == (list(LINES), list(IDS))
    assert verdict.passed
    assert verdict.remedy is None
    assert verdict.stop is None


class Item(msgspec.Struct, frozen=True):
    """What one item of an answer means: for a record sent for the first time, and for one in doubt."""

    answer: dict[str, Any]
    fresh: str
    in_doubt: str
    id: str = ""


def duplicate(identifier: str = "5000000000099", field: str = "Email") -> dict[str, Any]:
    return error("DUPLICATE_DATA", api_name=field, duplicate_record={"id": identifier})


def several(*errors: dict[str, Any]) -> dict[str, Any]:
    return error("MULTIPLE_OR_MULTI_ERRORS", errors=list(errors))


ITEMS = {
    "SUCCESS": Item(success(IDS[1]), "inserted", "inserted", IDS[1]),
    "DUPLICATE_DATA": Item(duplicate(), "duplicate", "claim", "5000000000099"),
    "DUPLICATE_DATA with the id at its older place": Item(
        error("DUPLICATE_DATA", api_name="Email", id="5000000000099"), "duplicate", "claim", "5000000000099"
    ),
    "DUPLICATE_DATA without an id": Item(error("DUPLICATE_DATA", api_name="Email"), "duplicate", "claim"),
    "INVALID_DATA": Item(error("INVALID_DATA", api_name="Email"), "rejected", "claim"),
    "INVALID_DATA at its own place": Item(
        error("INVALID_DATA", json_path="$.data[1].Email"), "rejected", "claim"
    ),
    "MANDATORY_NOT_FOUND": Item(error("MANDATORY_NOT_FOUND", api_name="Last_Name"), "rejected", "claim"),
    "LIMIT_EXCEEDED of one record": Item(
        error("LIMIT_EXCEEDED", json_path="$.data[1].Participants"), "rejected", "claim"
    ),
    "NOT_ALLOWED": Item(error("NOT_ALLOWED"), "rejected", "claim"),
    "several errors, all duplicates": Item(
        several(duplicate(), duplicate(field="Phone")), "duplicate", "claim", "5000000000099"
    ),
    "several errors, one a duplicate": Item(
        several(error("INVALID_DATA", api_name="Phone"), duplicate()), "rejected", "claim"
    ),
    "several errors, one that proves nothing": Item(
        several(error("INVALID_DATA", api_name="Phone"), error("INTERNAL_ERROR")), "doubt", "doubt"
    ),
    "several errors, one that nobody knows": Item(several(duplicate(), error("BRAND_NEW")), "doubt", "doubt"),
    "several errors that are not given": Item(error("MULTIPLE_OR_MULTI_ERRORS"), "rejected", "claim"),
    "RECORD_LOCKED": Item(error("RECORD_LOCKED"), "again", "again"),
    "INTERNAL_ERROR": Item(error("INTERNAL_ERROR"), "doubt", "doubt"),
    "PROCESSING_ERROR": Item(error("PROCESSING_ERROR"), "doubt", "doubt"),
    "DEPENDENT_SERVICE_ERROR": Item(error("DEPENDENT_SERVICE_ERROR"), "doubt", "doubt"),
    "a code that nobody knows": Item(error("BRAND_NEW_CODE"), "doubt", "doubt"),
}


def part_of(verdict: Verdict, line: int) -> tuple[str, str]:
    """In which part of the verdict a line is, and with which id."""
    for inserted, identifier in zip(verdict.settlement.lines, verdict.settlement.ids, strict=True):
        if inserted == line:
            return "inserted", identifier
    for other in verdict.settlement.others:
        if other.line == line:
            return other.outcome.value, other.id
    for claim in verdict.claims:
        if claim.line == line:
            return "claim", claim.refusal.id
    return ("again" if line in verdict.again else "doubt"), ""


@both
@pytest.mark.parametrize("row", ITEMS)
def test_one_record_s_answer_settles_that_record_alone(row: str, attempt: Attempt) -> None:
    item = ITEMS[row]
    verdict = judge(attempt, answers(success(IDS[0]), item.answer, success(IDS[2])))
    require_each_line_once(verdict, attempt)
    expected = item.in_doubt if attempt.in_doubt else item.fresh
    assert part_of(verdict, 12) == (expected, item.id)
    assert part_of(verdict, 11) == ("inserted", IDS[0])
    assert part_of(verdict, 13) == ("inserted", IDS[2])
    assert verdict.passed
    assert verdict.stop is None
    assert verdict.remedy is (Remedy.WAIT if expected == "again" else None)


@pytest.mark.parametrize(
    "row", [row for row, item in ITEMS.items() if item.fresh in ("rejected", "duplicate")]
)
def test_the_only_record_of_a_call_gets_its_own_verdict(row: str) -> None:
    answer = json.loads(json.dumps(ITEMS[row].answer).replace("$.data[1]", "$.data[0]"))
    verdict = judge(ONE, answers(answer, status=400))
    assert part_of(verdict, 11)[0] == ITEMS[row].fresh
    assert verdict.passed


@pytest.mark.parametrize(
    ("code", "stop"),
    [("INVALID_MODULE", Stop.CONFIGURATION), ("NO_PERMISSION", Stop.CREDENTIALS)],
)
def test_the_only_record_of_a_call_is_not_blamed_for_what_concerns_the_load(code: str, stop: Stop) -> None:
    verdict = judge(ONE, answers(error(code), status=400))
    require(verdict, ONE, Expected("no", stop=stop))


def test_an_unknown_answer_for_the_only_record_leaves_it_in_doubt() -> None:
    verdict = judge(ONE, answers(error("BRAND_NEW_CODE"), status=400))
    assert list(verdict.doubtful) == [11]


def test_a_claim_carries_the_record_the_ids_and_what_it_is_if_it_is_not_ours() -> None:
    answer = several(duplicate("5000000000091", "Phone"), duplicate("5000000000092"))
    verdict = judge(IN_DOUBT, answers(success(IDS[0]), answer, success(IDS[2])))
    (claim,) = verdict.claims
    assert (claim.line, claim.record) == (12, IN_DOUBT.records[1])
    assert claim.existing_ids == ("5000000000091", "5000000000092")
    assert claim.refusal.outcome is Outcome.DUPLICATE


def test_a_rejection_says_code_message_and_field() -> None:
    verdict = judge(FRESH, answers(success(IDS[0]), error("INVALID_DATA", api_name="Email"), success(IDS[2])))
    (rejected,) = verdict.settlement.others
    assert (rejected.code, rejected.message, rejected.field) == ("INVALID_DATA", "because", "Email")


def test_a_locked_record_keeps_its_code_beside_a_neighbour_in_doubt() -> None:
    verdict = judge(FRESH, answers(error("RECORD_LOCKED"), error("INTERNAL_ERROR"), success(IDS[2])))
    assert verdict.code == "RECORD_LOCKED"
    assert (list(verdict.again), list(verdict.doubtful)) == ([11], [12])


def series(count: int, *more: dict[str, Any]) -> HttpReply:
    return answers(*(success(str(5000000000020 + number)) for number in range(count)), *more, status=201)


@pytest.mark.parametrize("attempt", [ONE, msgspec.structs.replace(ONE, in_doubt=True, doubt_since=1.0)])
def test_the_items_of_a_recurring_record_make_one_outcome_with_the_first_id(attempt: Attempt) -> None:
    for count in (1, 2, 7):
        verdict = judge(attempt, series(count), series=True)
        require_each_line_once(verdict, attempt)
        assert part_of(verdict, 11) == ("inserted", "5000000000020")
        assert verdict.passed


def test_of_any_other_record_two_items_prove_nothing() -> None:
    require(judge(ONE, series(2)), ONE, DOUBT)


@pytest.mark.parametrize("more", [error("INVALID_DATA"), error("INTERNAL_ERROR"), {"status": "ok"}])
def test_a_series_that_is_not_whole_leaves_its_record_in_doubt(more: dict[str, Any]) -> None:
    require(judge(ONE, series(2, more), series=True), ONE, DOUBT)


def test_a_refused_option_is_named_with_what_is_possible() -> None:
    answer = error(
        "INVALID_DATA",
        api_name="name",
        json_path="$.skip_feature_execution[0].name",
        supported_values=["cadences"],
    )
    verdict = judge(FRESH, answers(answer, status=400))
    assert verdict.reason == ("HTTP 400 INVALID_DATA: because (skip_feature_execution; possible: cadences)")


def test_all_errors_of_a_record_are_in_its_outcome() -> None:
    answer = several(duplicate(), error("INVALID_DATA", api_name="Phone", maximum_length=30))
    (rejected,) = judge(FRESH, answers(success(IDS[0]), answer, success(IDS[2]))).settlement.others
    assert rejected.message == (
        "2 errors: DUPLICATE_DATA Email: because, record 5000000000099;"
        " INVALID_DATA Phone: because (at most 30 characters or digits)"
    )


def test_the_reason_quotes_no_more_of_the_answer_than_a_person_can_read() -> None:
    noisy: Reply = reply(400, {"code": "X" * 10_000, "status": "error", "message": "y" * 10_000})
    assert len(judge(FRESH, noisy).reason) < 500


def test_too_many_records_in_a_call_of_one_is_no_word_about_that_record() -> None:
    attempt = Attempt(batch=1, number=1, lines=[7], records=[b"{}"])
    for_the_call = judge(attempt, answers(error("LIMIT_EXCEEDED", api_name="data"), status=400))
    assert (for_the_call.again, for_the_call.remedy) == ([7], Remedy.HALVE)
    for_the_record = judge(attempt, answers(error("LIMIT_EXCEEDED", api_name="Participants"), status=400))
    assert [one.outcome for one in for_the_record.settlement.others] == [Outcome.REJECTED]
    unsaid = judge(attempt, answers(error("LIMIT_EXCEEDED"), status=400))
    assert [one.outcome for one in unsaid.settlement.others] == [Outcome.REJECTED]


@pytest.mark.parametrize("code", [one for one, found in CODES.items() if found.advice.endswith(MEND)])
def test_a_load_that_a_code_stops_is_told_to_retry_no_records_that_are_not_rejected(code: str) -> None:
    error = stop_error(Stop.CONFIGURATION, f"HTTP 400 {code}", code)
    assert error.hint.startswith(CODES[code].advice.removesuffix(MEND))
    assert "DIR" not in error.hint
    assert "loader retry" not in error.hint
    assert "run the same command again" in error.hint
