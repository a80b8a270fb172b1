"""What a load asks before it sends a record, and what it makes of the answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import anyio
import msgspec
import pytest

from loader import preflight
from loader.errors import CredentialsError, LoaderError, NotNowError, UsageError
from loader.events import Event, GatePaused, Warned
from loader.preflight import Preflight, Service
from loader.throttle.gate import Gate, GateSettings
from loader.wire.messages import Fault, HttpReply, HttpRequest, NoReply, Reply
from tests import virtual_time
from tests.throttle_fakes import FakeBudget

NOON = "Thu, 01 Jan 2026 12:00:00 GMT"
NOON_S = 1_767_268_800.0
FIELDS = {
    "fields": [
        {
            "api_name": "Last_Name",
            "data_type": "text",
            "json_type": "string",
            "length": 80,
            "system_mandatory": True,
        },
        {
            "api_name": "Code",
            "data_type": "text",
            "json_type": "string",
            "length": 20,
            "unique": {"casesensitive": ""},
        },
    ]
}
LAYOUTS = {"layouts": [{"id": "91055", "sections": [{"fields": [{"api_name": "Code", "required": True}]}]}]}
USER = {"users": [{"id": "7000000000001"}]}
ORGANISATION = {"org": [{"id": "8000000000001"}]}


def reply(status: int, body: object = b"", date: str = NOON) -> HttpReply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpReply(status, raw, {"date": date}, 0.1)


def refusal(status: int, code: str) -> HttpReply:
    return reply(status, {"code": code, "status": "error", "message": "because", "details": {}})


class Script:
    """A service that answers each question from its list; the last answer of a list is given for ever."""

    def __init__(self, **answers: list[Reply]) -> None:
        sound: Mapping[str, list[Reply]] = {
            "fields": [reply(200, FIELDS)],
            "layouts": [reply(200, LAYOUTS)],
            "settings/modules": [reply(200, {"modules": [{"api_name": "Leads"}, {"api_name": "Events"}]})],
            "users": [reply(200, USER)],
            "org": [reply(200, ORGANISATION)],
        }
        self.answers = {**sound, **answers}
        self.asked: list[str] = []
        self.renewed: list[int] = []
        self.events: list[Event] = []
        self.token_takes_s: list[float | NotNowError] = []
        """At each look for an access token; then there is one."""
        self.waited_in: list[int] = []
        """Calls in flight while it was waited for."""
        self.gate: Gate | None = None

    async def send(self, request: HttpRequest) -> Reply:
        assert request.method == "GET", "preflight reads, and nothing else"
        name = next(word for word in self.answers if word in request.path)
        self.asked.append(name)
        await anyio.sleep(0.1)
        listed = self.answers[name]
        return listed.pop(0) if len(listed) > 1 else listed[0]

    async def ready(self) -> None:
        takes_s = self.token_takes_s.pop(0) if self.token_takes_s else 0.0
        if isinstance(takes_s, NotNowError):
            raise takes_s
        if takes_s:
            assert self.gate is not None
            self.waited_in.append(self.gate.in_flight)
            await anyio.sleep(takes_s)

    async def renew_token(self, number: int) -> None:
        self.renewed.append(number)

    def run(
        self, module: str = "Leads", *, patience_s: float = 60.0, budget: FakeBudget | None = None
    ) -> Preflight:
        async def main() -> Preflight:
            self.gate = gate = Gate(
                GateSettings(10, None, patience_s, "crm.example"),
                observe=self.events.append,
                budget=budget,
                jitter=lambda: 0.5,
            )
            service = Service(
                self.ready, self.send, self.renew_token, gate, "crm.example", lambda: NOON_S + 90
            )
            return await preflight.ask(service, module, observe=self.events.append)

        return virtual_time.run(main)

    def stopped(self, kind: type[LoaderError], module: str = "Leads") -> LoaderError:
        with pytest.raises(kind) as raised:
            self.run(module)
        assert raised.value.what
        return raised.value

    @property
    def warnings(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Warned)]


def test_one_question_each_tells_module_user_organisation_and_the_server_s_clock() -> None:
    script = Script()
    told = script.run()
    assert script.asked == ["fields", "layouts", "users", "org"]
    assert told.metadata_read
    assert told.module.field("Code") is not None
    assert [layout.required for layout in told.module.layouts] == [("Code",)]
    assert (told.user_id, told.organisation) == ("7000000000001", "8000000000001")
    assert told.clock_offset_s == pytest.approx(-90)
    assert script.warnings == []


@pytest.mark.parametrize("answer", [refusal(401, "OAUTH_SCOPE_MISMATCH"), refusal(403, "NO_PERMISSION")])
def test_fields_that_may_not_be_read_are_the_built_in_ones_and_the_load_says_so(answer: Reply) -> None:
    script = Script(fields=[answer])
    told = script.run()
    assert not told.metadata_read
    assert told.module.field("Last_Name") is not None
    (warning,) = script.warnings
    assert "ZohoCRM.settings.fields.READ" in warning
    assert script.renewed == [], "another token would not have the scope either"


def test_a_user_and_an_organisation_that_may_not_be_read_are_empty() -> None:
    script = Script(users=[refusal(401, "OAUTH_SCOPE_MISMATCH")], org=[refusal(403, "NO_PERMISSION")])
    told = script.run()
    assert (told.user_id, told.organisation) == ("", "")


def test_a_question_waits_as_long_as_a_429_asks_for_and_tells_the_budget_what_is_left() -> None:
    wait = reply(429, {"code": "TOO_MANY_REQUESTS", "details": {"retry_after": 40}})
    rich = msgspec.structs.replace(reply(200, USER), headers={"date": NOON, "x-api-credits-remaining": "5"})
    script = Script(fields=[wait, reply(200, FIELDS)], users=[rich])
    budget = FakeBudget()
    script.run(budget=budget)
    assert [event.pause_s for event in script.events if isinstance(event, GatePaused)] == [40.0]
    assert budget.corrected == [5]
    assert budget.spent == 4


def test_without_a_date_the_clocks_count_as_equal() -> None:
    script = Script(users=[reply(200, USER, date="yesterday")])
    assert script.run().clock_offset_s == 0.0


@pytest.mark.parametrize(
    "answer",
    [
        refusal(400, "INVALID_MODULE"),
        refusal(404, "INVALID_URL_PATTERN"),
        reply(204),
        refusal(403, "INVALID_MODULE"),
    ],
    ids=["400", "404", "204", "403"],
)
def test_a_module_that_does_not_exist_is_a_usage_error_that_names_it(answer: Reply) -> None:
    script = Script(fields=[answer])
    error = script.stopped(UsageError, "Leds")
    assert "'Leds'" in error.what
    assert "--module" in error.hint
    assert set(script.asked) <= {"fields", "settings/modules"}


def test_an_unreadable_module_that_is_not_built_in_cannot_be_loaded() -> None:
    script = Script(fields=[refusal(401, "OAUTH_SCOPE_MISMATCH")])
    error = script.stopped(UsageError, "My_Things")
    assert "ZohoCRM.settings.fields.READ" in error.hint


def test_field_metadata_that_is_none_is_a_usage_error() -> None:
    script = Script(fields=[reply(200, {"fields": []})])
    error = script.stopped(UsageError)
    assert "Leads" in error.what
    assert error.hint


FOREIGN: Mapping[str, Reply] = {
    "an HTML page": reply(200, b"<html>hello</html>"),
    "nothing": reply(200, b""),
    "a redirect": reply(302),
    "404 with an HTML page": reply(404, b"<html>not found</html>"),
    "403 with an HTML page": reply(403, b"<html>forbidden</html>"),
    "401 with an HTML page": reply(401, b"<html>sign in</html>"),
}


@pytest.mark.parametrize("row", FOREIGN)
def test_a_host_that_does_not_speak_this_api_is_never_sent_a_record(row: str) -> None:
    error = Script(fields=[FOREIGN[row]]).stopped(UsageError)
    assert "does not speak this API" in error.what
    assert "--api-domain" in error.hint


def test_a_certificate_that_proves_nothing_is_a_usage_error_at_once() -> None:
    script = Script(fields=[NoReply(Fault.CERTIFICATE, "self-signed", 0.1)])
    error = script.stopped(UsageError)
    assert "self-signed" in error.why
    assert set(script.asked) <= {"fields", "settings/modules"}


def test_an_expired_token_costs_one_refresh() -> None:
    script = Script(fields=[refusal(401, "INVALID_TOKEN"), reply(200, FIELDS)])
    assert script.run().metadata_read
    assert script.renewed == [0]


def test_a_token_that_is_refused_after_its_refresh_ends_the_load() -> None:
    script = Script(fields=[refusal(401, "INVALID_TOKEN")])
    script.stopped(CredentialsError)
    assert len(script.renewed) == 1


def test_credentials_that_are_not_understood_end_the_load_without_a_refresh() -> None:
    script = Script(fields=[refusal(401, "AUTHENTICATION_FAILURE")])
    error = script.stopped(CredentialsError)
    assert script.renewed == []
    assert error.hint, "an error says what to do next"


PASSING: Mapping[str, Callable[[], Reply]] = {
    "429": lambda: refusal(429, "TOO_MANY_REQUESTS"),
    "500": lambda: refusal(500, "INTERNAL_ERROR"),
    "503 with an HTML page": lambda: reply(503, b"<html>"),
    "refused": lambda: NoReply(Fault.UNREACHABLE, "connection refused", 0.0),
    "a lost answer": lambda: NoReply(Fault.DISCONNECTED, "reset", 0.1),
    "a broken answer": lambda: NoReply(Fault.BROKEN_ANSWER, "cut", 0.1),
}


@pytest.mark.parametrize("row", PASSING)
def test_a_read_is_harmless_so_it_is_asked_until_it_is_answered(row: str) -> None:
    script = Script(fields=[PASSING[row](), PASSING[row](), reply(200, FIELDS)])
    assert script.run().metadata_read
    assert script.asked == ["fields"] * 3 + ["layouts", "users", "org"]


@pytest.mark.parametrize("row", PASSING)
def test_a_service_that_never_answers_ends_the_load_after_its_patience(row: str) -> None:
    script = Script(fields=[PASSING[row]()])
    error = script.stopped(NotNowError)
    assert "crm.example" in error.what
    assert len(script.asked) < 50


def test_layouts_that_may_not_be_read_are_named_with_their_scope_and_stop_nothing() -> None:
    script = Script(layouts=[refusal(401, "OAUTH_SCOPE_MISMATCH")])
    told = script.run()
    assert told.module.layouts == ()
    assert "ZohoCRM.settings.layouts.READ" in script.warnings[0]


def test_layouts_that_are_none_are_told_and_stop_nothing() -> None:
    script = Script(layouts=[reply(200, {"layouts": [{"name": "without an id"}]})])
    assert script.run().module.layouts == ()
    assert "the layouts of Leads cannot be read" in script.warnings[0]


def test_a_subform_s_rows_are_read_from_their_own_module() -> None:
    subform = {"api_name": "Sites", "data_type": "subform", "associated_module": {"module": "Sites_Rows"}}
    rows = {"fields": [{"api_name": "City", "data_type": "text", "json_type": "string", "length": 5}]}
    script = Script(fields=[reply(200, {"fields": [*FIELDS["fields"], subform]}), reply(200, rows)])
    told = script.run()
    sites = told.module.field("Sites")
    assert sites is not None
    assert [field.api_name for field in sites.subfields] == ["City"]
    assert script.asked == ["fields", "fields", "layouts", "users", "org"]


@pytest.mark.parametrize(
    ("written", "meant"), [("leads", "Leads"), ("Laeds", "Leads"), ("Meetings", "Events")]
)
def test_a_module_that_there_is_not_is_answered_with_the_one_that_may_be_meant(
    written: str, meant: str
) -> None:
    script = Script(fields=[refusal(400, "INVALID_MODULE")])
    with pytest.raises(UsageError) as stopped:
        script.run(written)
    assert f"Did you mean {meant}?" in stopped.value.hint


def test_an_access_token_is_waited_for_without_a_place() -> None:
    script = Script()
    script.token_takes_s = [300.0]
    assert script.run().organisation
    assert script.waited_in == [0]


def test_a_question_whose_token_has_run_out_in_its_place_costs_nothing() -> None:
    script, budget = Script(), FakeBudget()
    script.token_takes_s = [0.0, NotNowError("there is no access token")]
    with pytest.raises(NotNowError, match="there is no access token"):
        script.run(budget=budget)
    assert (script.asked, budget.spent) == ([], 0)
