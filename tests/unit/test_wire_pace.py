"""What an answer says about pace."""

from __future__ import annotations

import pytest

from loader.wire.messages import Fault, HttpReply, NoReply
from loader.wire.pace import ASKED_MAX_S, credits_remaining, retry_after_s


def reply(headers: dict[str, str] | None = None, body: bytes = b"", status: int = 429) -> HttpReply:
    return HttpReply(status, body, headers or {}, 0.1)


@pytest.mark.parametrize(
    ("answer", "asked"),
    [
        pytest.param(reply({"retry-after": "7"}), 7.0, id="the header"),
        pytest.param(reply({"retry-after": "7"}, b'{"details":{"retry_after":60}}'), 7.0, id="header first"),
        pytest.param(reply(body=b'{"code":"X","details":{"retry_after":60}}'), 60.0, id="the body"),
        pytest.param(reply(body=b'{"details":{"retry_after":1.5}}'), 1.5, id="a fraction"),
        pytest.param(reply(body=b'{"details":{"retry_after":"60"}}'), 60.0, id="as text"),
        pytest.param(reply(body=b'{"details":{"retry_after":-1}}'), None, id="negative"),
        pytest.param(reply(body=b'{"details":{"retry_after":null}}'), None, id="null"),
        pytest.param(reply(body=b'{"details":{"retry_after":true}}'), None, id="no number"),
        pytest.param(reply(body=b'{"details":[]}'), None, id="details of another kind"),
        pytest.param(reply(body=b"<html>"), None, id="no JSON"),
        pytest.param(reply(body=b"\xff"), None, id="no text"),
        pytest.param(reply(body=b'{"details":{"retry_after":1e400}}'), None, id="beyond any number"),
        pytest.param(reply(body=b'{"details":{"retry_after":9e99}}'), ASKED_MAX_S, id="absurdly long"),
        pytest.param(reply({"retry-after": "9" * 18}), ASKED_MAX_S, id="absurdly long, in the header"),
        pytest.param(reply({"retry-after": "9" * 400}), ASKED_MAX_S, id="hostile"),
        pytest.param(reply({"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}), None, id="a date"),
        pytest.param(reply(body=b'{"details":{"retry_after":60}}', status=400), None, id="no 429"),
        pytest.param(NoReply(Fault.DISCONNECTED, "x", 0.1), None, id="no answer"),
    ],
)
def test_the_pause_that_an_answer_asks_for(answer: HttpReply | NoReply, asked: float | None) -> None:
    assert retry_after_s(answer) == asked


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        (reply({"x-api-credits-remaining": "4321"}, status=201), 4321),
        (reply({"x-api-credits-remaining": "-1"}), None),
        (reply({"x-api-credits-remaining": "9" * 5000}), None),
        (reply(), None),
        (NoReply(Fault.DISCONNECTED, "x", 0.1), None),
    ],
)
def test_the_credits_that_an_answer_tells(answer: HttpReply | NoReply, left: int | None) -> None:
    assert credits_remaining(answer) == left
