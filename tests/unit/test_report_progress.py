"""What a running load shows."""

from __future__ import annotations

import io
import re
import threading
from functools import partial

import pytest

from loader.events import (
    BatchAnswered,
    BatchInDoubt,
    BatchRefused,
    BatchSent,
    CallPushedBack,
    CreditsCounted,
    CreditsRanOut,
    CreditsReturned,
    Event,
    GatePaused,
    GateReopened,
    LimitLowered,
    LimitRaised,
    LoadOpened,
    LoadStopping,
    PlacesShared,
    QuietPeriodBegan,
    QuietPeriodEnded,
    RecordsHeld,
    ServiceUnreachable,
    TokenAwaited,
    TokenRefreshed,
    Warned,
    WindowCut,
    WindowIntended,
)
from loader.outcomes import ErrorCount, Outcome
from loader.report import display, journal, progress, text
from loader.report.live import DRAWS_PER_S, LiveBlock
from loader.report.progress import Progress
from loader.report.telling import TOLD_KEPT, say

OPENED = LoadOpened("01JD8-7QK2", "Leads", "www.zohoapis.eu", "/data/leads.ndjson", 1_000_000, 0)


def window(records: int, *, offset: int, invalid: int = 0, errors: tuple[ErrorCount, ...] = ()) -> Event:
    return WindowIntended(records, invalid, 0, offset, 1_000_000, errors)


def answered(batch: int, attempt: int = 1, *, inserted: int = 100, duplicate: int = 0) -> Event:
    return BatchAnswered(batch, attempt, 1.09, inserted, duplicate, rejected=0, recovered=0)


def told(*events: Event, concurrency: int = 10, rate: float | None = None) -> Progress:
    state = Progress(concurrency=concurrency, rate=rate)
    for event in events:
        state.apply(event)
    return state


def test_the_live_block() -> None:
    errors = (ErrorCount("MANDATORY_NOT_FOUND", "Last_Name", 2),)
    state = told(OPENED, window(2998, offset=500_000, invalid=2, errors=errors))
    state.look(0.0)
    for batch in range(1, 16):
        state.apply(BatchSent(batch, 1, 100))
        state.apply(answered(batch, inserted=97, duplicate=3))
    state.apply(BatchSent(16, 1, 100))
    state.apply(LimitRaised(10))
    state.apply(CallPushedBack(11))
    state.look(2.0)
    assert progress.block(state) == [
        "leads.ndjson → Leads @ www.zohoapis.eu                           load 01JD8-7QK2",
        " 25 % ━━━━━━━━━╺━━━━━━━━━━━━━━━━━━━━━━━━━━━━   1,502 of ~6,000    ETA 6 s",
        " inserted 1,455   duplicate 45   rejected 0   in doubt 0   invalid 2",
        " 750 rec/s   1 of 10 calls   p50 1.09 s  p99 1.09 s   429: 1   sent again: 0",
        " errors  MANDATORY_NOT_FOUND Last_Name 2",
    ]


def test_the_block_fits_every_width_and_shows_no_escape() -> None:
    hostile = LoadOpened("X", "Le\x1bads", "h" * 90, "n\x1b[2J" * 30, 10, 0)
    state = told(hostile, window(10, offset=5, invalid=1, errors=(ErrorCount("\x1b[31m", "F", 1),)))
    for width in (30, 80, 200):
        lines = progress.block(state, width=width)
        assert max(map(len, lines)) <= width
        assert "\x1b" not in "".join(lines)


def test_the_total_is_exact_once_all_is_read_and_never_beyond_the_limit() -> None:
    state = told(OPENED, window(5_000, offset=1_000_000))
    assert "0 of 5,000 records" in progress.line(state)
    state.limit = 700
    assert state.total == 700


def test_a_resumed_load_counts_what_was_there() -> None:
    before = {Outcome.INSERTED: 600, Outcome.INVALID: 10, Outcome.PENDING: 90}
    opened = LoadOpened("X", "Leads", "h", "f", None, 1, before)
    state = told(opened, answered(7, 2, inserted=90))
    assert (state.settled, state.records_read) == (700, 700)
    assert "700 records settled" in progress.line(state)


def test_a_resumed_load_counts_the_errors_that_were_there() -> None:
    before = {Outcome.INSERTED: 600, Outcome.INVALID: 10}
    missing = ErrorCount("MANDATORY_NOT_FOUND", "Last_Name", 10)
    opened = LoadOpened("X", "Leads", "h", "f", None, 1, before, (missing,))
    state = told(
        opened, window(100, offset=9, invalid=2, errors=(ErrorCount(missing.code, missing.field, 2),))
    )
    assert " errors  MANDATORY_NOT_FOUND Last_Name 12" in progress.block(state)
    assert state.outcomes[Outcome.INVALID] == 12


def test_there_is_no_forecast_before_there_is_a_pace() -> None:
    state = told(OPENED)
    state.look(0.0)
    state.apply(window(2_994, offset=500_000, invalid=6))
    state.look(3.0)
    assert state.per_second > 0
    assert "ETA" not in progress.line(state) + "".join(progress.block(state)), "nothing has been answered"
    state.apply(answered(1))
    assert "ETA" in progress.line(state)
    early = told(OPENED, window(3_000, offset=500_000))
    early.look(0.0)
    early.apply(answered(1))
    early.look(1.0)
    assert early.seconds_left is None


def test_a_doubt_ends_when_a_later_attempt_settles_it() -> None:
    state = told(BatchSent(1, 1, 100), answered(1, inserted=60), BatchInDoubt(1, 1, 40, "INTERNAL_ERROR"))
    assert (state.in_doubt, state.in_flight) == (40, 0)
    state.apply(answered(1, 2, inserted=30))
    assert state.in_doubt == 10
    state.apply(answered(1, 3, inserted=10))
    assert state.in_doubt == 0


def test_held_records_stay_in_doubt() -> None:
    assert told(RecordsHeld(100)).in_doubt == 100
    assert told(BatchInDoubt(1, 1, 100, "timeout"), RecordsHeld(100)).in_doubt == 100


def test_what_an_earlier_run_left_in_doubt_is_in_doubt_from_the_start_of_the_next() -> None:
    opened = LoadOpened("X", "Leads", "h", "f", None, 1, {Outcome.INSERTED: 600, Outcome.IN_DOUBT: 150})
    state = told(opened)
    assert state.in_doubt == 150
    for part in (30, 20):
        state.apply(BatchInDoubt(7, 1, part, "left in doubt", earlier=True))
    assert state.in_doubt == 150, "50 are looked into, 100 are a person's"
    state.apply(answered(7, 2, inserted=50))
    assert state.in_doubt == 100
    state.apply(BatchSent(9, 1, 100))
    state.apply(BatchInDoubt(9, 1, 100, "timeout"))
    assert state.in_doubt == 200


def sending(calls: int, *, allowed: int = 10, rate: float | None = None, concurrency: int = 10) -> Progress:
    """A load with so many calls in flight of those that may be."""
    batches = (BatchSent(batch, 1, 100) for batch in range(calls))
    before = (OPENED, LimitRaised(allowed), window(calls * 100, offset=10))
    return told(*before, *batches, rate=rate, concurrency=concurrency)


def looked(state: Progress, *events: Event, start: float = 0.0, looks: int = 9) -> str:
    """What limits the load after looks at it over two seconds, the events between the first two of them."""
    for number in range(looks):
        state.look(start + number / 4)
        if number == 0:
            for event in events:
                state.apply(event)
    return state.limited_by()


def test_limits_are_named_only_when_they_lasted() -> None:
    state = sending(10)
    state.look(0.0)
    assert state.limited_by() == ""
    state.look(2.0)
    assert state.limited_by() == "concurrency (10)"
    state.apply(BatchRefused(3, 1, "429"))
    state.look(2.5)
    assert state.limited_by() == ""


def test_a_pause_is_named_at_once_and_says_whether_the_server_answers() -> None:
    state = told(OPENED, GatePaused(1.0))
    assert state.limited_by() == "server (429): paused, then one probe"
    state.apply(GatePaused(1.0, push_back=False))
    assert state.limited_by() == "server (no answer): paused, then one probe"
    for reason, said in (
        ("HTTP 503", "HTTP 503"),
        ("HTTP 502, an answer that cannot be read", "HTTP 502"),
        ("HTTP 500 INTERNAL_ERROR: what the service says", "HTTP 500"),
        ("no connection (Connection refused)", "no connection"),
    ):
        state.apply(GatePaused(1.0, push_back=False, reason=reason))
        assert state.limited_by() == f"server ({said}): paused, then one probe"
        told_of_it = display.told(GatePaused(1.0, push_back=False, reason=reason), verbose=True)
        assert told_of_it == f"{said}: nothing is sent for 1.00 s"
    state.apply(GateReopened())
    assert state.limited_by() == ""


def test_a_limit_that_a_push_back_found_is_the_servers() -> None:
    state = sending(8, allowed=9, concurrency=25)
    assert looked(state, LimitLowered(8, 9)) == "server concurrency (8)"
    assert "8 of 8 calls" in progress.block(state)[3]


def test_a_limit_that_still_rises_is_no_limit_yet() -> None:
    assert looked(sending(4, allowed=4)) == ""


def test_places_that_other_loads_have_are_named() -> None:
    state = sending(5)
    assert looked(state, PlacesShared(5, 10)) == "concurrency (5 of 10, other loads here have the rest)"
    state.apply(PlacesShared(10, 10))
    assert looked(state, window(1000, offset=20), start=10.0) == "", "5 of 10 calls, and records to send"


def test_a_wait_for_credits_is_named_until_they_are_back() -> None:
    state = told(OPENED, CreditsRanOut(4000.0))
    assert state.limited_by() == "credits (spent; waiting for 1 h 07 m)"
    state.apply(CreditsReturned())
    assert state.limited_by() == ""


def test_a_rate_is_named() -> None:
    state = sending(1, rate=2.0)
    state.look(0.0)
    for batch in range(4):
        state.apply(BatchSent(batch, 1, 100))
    state.look(2.0)
    assert state.limited_by() == "rate (2 calls/s)"


def test_what_starves_the_calls_is_named() -> None:
    assert looked(sending(1)) == "input", "no window came"
    assert looked(sending(1), WindowCut(1.5, 0.5), window(0, offset=20)) == "input"
    assert looked(sending(1), WindowCut(0.5, 1.5), window(0, offset=20)) == "check"
    assert looked(sending(1), WindowCut(0.1, 0.1)) == "disk"
    assert looked(sending(1), WindowCut(0.1, 0.1), window(0, offset=20)) == "", "neither took its time"
    assert looked(sending(1), window(0, offset=1_000_000)) == "", "all is read: the last calls are out"


def test_a_slow_input_is_blamed_only_for_what_is_its_own() -> None:
    assert looked(sending(1), BatchSent(9, 1, 100), BatchRefused(9, 1, "HTTP 503")) == "input"
    retried = sending(1)
    retried.apply(BatchRefused(0, 1, "HTTP 503"))
    assert looked(retried) == "", "a batch waits to be sent again"
    left = LoadOpened("X", "Leads", "h", "f", None, 1, {Outcome.INSERTED: 600, Outcome.PENDING: 100})
    assert looked(told(left)) == "", "what an earlier run left waits to be sent"
    state = told()
    assert looked(state) == "", "the load has not begun to read"
    assert (progress.line(state), progress.block(state)) == ("starting", ["starting"])
    state.apply(OPENED)
    state.look(2.25)
    assert state.limited_by() == "", "it has only just begun"
    assert looked(state, start=3.0) == "input"


def test_a_wait_for_an_access_token_is_named_until_there_is_one() -> None:
    state = told(TokenAwaited("accounts\x1b.eu", "ten are used up", 290.0))
    assert progress.line(state) == "starting, limited by access token (waiting to ask accounts\\x1b.eu)"
    assert progress.block(state, width=100) == [progress.line(state)]
    state.apply(TokenRefreshed())
    assert progress.line(state) == "starting"
    state.apply(ServiceUnreachable("accounts.eu", "no connection", 290.0))
    assert state.limited_by() == "access token (out of reach: accounts.eu)"
    state.apply(GatePaused(1.0, push_back=False, reason="no connection"))
    assert state.limited_by() == "server (no connection): paused, then one probe"
    state.apply(GateReopened())
    assert state.limited_by() == "", "it was the API's own host"


def test_a_quiet_period_says_what_rests_for_how_long_and_what_comes_then() -> None:
    before = {Outcome.INSERTED: 600, Outcome.IN_DOUBT: 200}
    state = told(LoadOpened("X", "Leads", "h", "f", None, 1, before))
    state.look(0.0)
    for batch in (7, 8):
        state.apply(BatchInDoubt(batch, 1, 100, "left in doubt", earlier=True))
        state.apply(QuietPeriodBegan(batch, batch, 100, 30.0, "sent again", alone=batch == 7))
        state.look(batch - 7.0)
    assert state.quiet() == "200 records in doubt: quiet period, 30 s more, then sent again"
    for at in (1.5, 2.0, 2.5, 3.0, 3.5):
        state.look(at)
    assert state.limited_by() == "quiet period"
    assert progress.line(state).endswith(state.quiet())
    assert "limited by" not in progress.line(state), "it is said once"
    for width in (60, 80):
        shown = progress.block(state, width=width)
        assert state.quiet() in " ".join(" ".join(shown).split())
        assert max(map(len, shown)) <= width
    state.apply(QuietPeriodEnded(7))
    state.look(4.0)
    assert state.quiet() == "100 records in doubt: quiet period, 27 s more, then sent again"
    state.apply(QuietPeriodEnded(8))
    state.look(4.5)
    assert (state.quiet(), "quiet" in progress.line(state)) == ("", False)


def test_a_quiet_period_is_told_once_for_all_that_rest() -> None:
    def said(event: Event) -> list[str]:
        return [display.told(event, verbose=False), journal.of_event(event, at=0.0, verbose=False)]

    plain, line = said(QuietPeriodBegan(1, 7, 100, 30.0, "asked for"))
    assert plain == (
        "records in doubt rest for 30 s (--quiet-period), for the CRM may still apply what it got;"
        " then they are asked for"
    )
    assert '"event":"quiet_period_began"' in line
    assert said(QuietPeriodBegan(2, 8, 100, 30.0, "asked for", alone=False)) == ["", ""]
    assert said(QuietPeriodEnded(1)) == ["", ""]
    assert said(QuietPeriodBegan(1, 7, 100, 0.2, "asked for"))[0] == "", "it is over before it is read"


def test_the_memory_for_errors_is_bounded() -> None:
    state = Progress(concurrency=1)
    for number in range(1000):
        state.apply(window(0, offset=1, invalid=1, errors=(ErrorCount(f"C{number}", "", 1),)))
    assert len(state.errors) <= progress.ERROR_KINDS_MAX + 1
    assert state.errors.total() == 1000


def test_plain_lines_tell_the_opening_and_what_needs_a_line() -> None:
    out = io.StringIO()
    shown = display.PlainLines(Progress(concurrency=10), out, every_s=None)
    with shown:
        for event in (
            OPENED,
            Warned("clock is \x1b[5m off"),
            BatchRefused(1, 1, "429"),
            LoadStopping("SIGTERM"),
        ):
            shown(event)
    assert out.getvalue().splitlines() == [
        "load 01JD8-7QK2: leads.ndjson → Leads @ www.zohoapis.eu",
        "warning: clock is \\x1b[5m off",
        "SIGTERM: nothing new is sent, waiting for answers; once more stops at once",
    ]


class Listening(io.StringIO):
    """Tells when something was said."""

    def __init__(self) -> None:
        super().__init__()
        self.said = threading.Event()

    def flush(self) -> None:
        super().flush()
        self.said.set()


class Unread(io.StringIO):
    """Takes nothing as long as nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = threading.Event()
        self.reader = threading.Event()

    def write(self, text: str, /) -> int:
        self.waits.set()
        self.reader.wait(60)
        return super().write(text)


@pytest.mark.parametrize("quiet", [True, False])
def test_a_pipe_that_nobody_reads_holds_up_neither_the_events_nor_the_end_of_a_load(quiet: bool) -> None:
    out = Unread()
    shown = display.display(Progress(concurrency=1), out, quiet=quiet, show_progress=False)
    assert isinstance(shown, display.Quiet | display.PlainLines)
    telling = shown._telling
    telling._close_s = 0.05
    with shown:
        shown(Warned("the first"))
        assert out.waits.wait(60)
        for number in range(TOLD_KEPT + 100):
            shown(Warned(f"number {number}"))
    assert telling._thread.is_alive(), "it waits for a reader, and nobody for it"
    out.reader.set()
    telling._thread.join(60)
    said = out.getvalue().splitlines()
    assert (len(said), said[-1]) == (TOLD_KEPT + 1, f"warning: number {TOLD_KEPT + 99}")


def test_a_terminal_that_takes_nothing_does_not_hold_up_the_end_of_a_load() -> None:
    out = Unread()
    shown = LiveBlock(told(OPENED), out, told=lambda _: "", size=lambda: (80, 24), color=False, close_s=0.05)
    with shown:
        assert out.waits.wait(60)
    assert shown._thread.is_alive()
    out.reader.set()
    shown._thread.join(60)


def test_a_plain_line_comes_though_nothing_happens() -> None:
    ticked = display.PlainLines(told(OPENED), out := Listening(), every_s=0.25)
    with ticked:
        assert out.said.wait(60)
    assert "0 records settled" in out.getvalue()
    assert not ticked._telling._thread.is_alive()


def test_verbose_tells_each_refused_or_doubtful_call() -> None:
    events = (
        BatchRefused(3, 2, "HTTP 429"),
        BatchInDoubt(4, 1, 100, "reset"),
        RecordsHeld(100),
        GatePaused(2.0),
        TokenRefreshed(),
        ServiceUnreachable("h\x1b", "refused", 290.0),
        TokenAwaited("h\x1b", "ten are used up", 290.0),
        TokenAwaited("h\x1b", "ten are used up", 290.0, 100.0),
        LimitRaised(2),
        LimitLowered(1, 2),
        PlacesShared(5, 10),
        CreditsRanOut(90.0),
        CreditsReturned(),
    )
    lines = [display.told(event, verbose=True) for event in events]
    assert lines[0] == "batch 3, attempt 2: not applied, HTTP 429"
    assert lines[1] == "batch 4, attempt 1: 100 records in doubt, reset"
    assert all(lines)
    assert lines[5] == "h\\x1b is out of reach (refused); giving up in 5 m"
    waiting = r"waiting to ask h\\x1b for an access token \(ten are used up\); nothing is lost, it "
    assert re.fullmatch(waiting + r"is tried again; giving up in 5 m, at \d\d:\d\d:\d\d \S+", lines[6])
    assert re.fullmatch(waiting + r"goes on by itself in 2 m, at \d\d:\d\d:\d\d \S+", lines[7])
    assert [display.told(event, verbose=False) for event in events[:5]] == [""] * 5


def test_quiet_tells_warnings_only() -> None:
    out = io.StringIO()
    with display.display(Progress(concurrency=1), out, quiet=True) as shown:
        shown(OPENED)
        shown(Warned("w"))
    assert out.getvalue() == "warning: w\n"


def test_a_closed_stderr_does_not_stop_a_load() -> None:
    out = io.StringIO()
    out.close()
    say(out, "nobody reads this")


def live(state: Progress, out: io.StringIO, size: list[int], *, reflows: bool = True) -> LiveBlock:
    """A block on a terminal whose size, columns and rows, may be changed."""
    return LiveBlock(
        state,
        out,
        told=partial(display.told, verbose=False),
        size=lambda: (size[0], size[1]),
        color=False,
        reflows=reflows,
        clock=lambda: 0.0,
    )


def test_a_terminal_gets_the_block_and_whole_lines_above_it() -> None:
    out = io.StringIO()
    with live(Progress(concurrency=10), out, [80, 24]) as shown:
        shown(OPENED)
        shown(window(100, offset=10))
        shown(Warned("[bold]not markup[/bold] \x1b[2J"))
        shown.draw()
        shown(Warned("the last word"))
    said = out.getvalue()
    assert "leads.ndjson → Leads @ www.zohoapis.eu" in said
    assert "warning: [bold]not markup[/bold] \\x1b[2J\n" in said
    assert said.endswith("\x1b[2K\n\x1b[4Awarning: the last word\n"), "the block is gone"
    assert "\x1b[?25l" not in said, "the cursor stays visible, whatever ends the loader"


@pytest.mark.parametrize(("reflows", "rows"), [(True, 7), (False, 4)])
def test_a_block_is_wiped_out_whole_after_the_terminal_got_narrower(reflows: bool, rows: int) -> None:
    out, size = io.StringIO(), [80, 24]
    shown = live(told(OPENED), out, size, reflows=reflows)
    shown.draw()
    assert out.getvalue().count("\n") == 4
    out.truncate(0)
    size[0] = 40
    shown.draw()
    # The first line, 80 columns wide, has become two, and so have those of the counts and of the pace.
    wipe = "\x1b[2K\n" * rows
    assert f"\r\x1b[{rows}A{wipe}\x1b[{rows}A" in out.getvalue()


def test_a_block_is_never_taller_than_the_terminal() -> None:
    out = io.StringIO()
    live(told(OPENED), out, [80, 3]).draw()
    assert out.getvalue().splitlines()[0].startswith("leads.ndjson")
    assert out.getvalue().count("\n") == 2


def test_what_is_told_waits_for_the_terminal_and_not_the_load_for_it() -> None:
    out = io.StringIO()
    shown = live(told(OPENED), out, [80, 24])
    for number in range(DRAWS_PER_S):
        shown(Warned(f"number {number}"))
    assert out.getvalue() == ""
    shown.draw()
    assert out.getvalue().count("warning: number") == DRAWS_PER_S


def test_in_ascii_the_block_keeps_its_width_and_says_the_same() -> None:
    opened = LoadOpened("01JD8-7QK2", "Leads", "h", "/data/Übung.ndjson", 1_000_000, 0)
    errors = (ErrorCount("INVALID_DATA", "Größe", 1), ErrorCount("INVALID_DATA", "Email", 1))
    state = told(opened, window(1000, offset=500_000, invalid=2, errors=errors), answered(1, inserted=501))
    for width in (60, 80, 120, 200):
        lines = progress.block(state, width=width, ascii_only=True)
        assert max(map(len, lines)) <= width
        assert all(map(str.isascii, lines))
        assert lines[0].startswith("\\xdcbung.ndjson -> Leads @ h ")
        assert re.match(r" 25 % =+-+   503 of ~2,004$", lines[1])
        assert "INVALID_DATA Gr\\xf6\\xdfe 1 . INVALID_DATA Email 1" in lines[-1]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_figure_is_cut_off_in_a_narrow_block(width: int) -> None:
    state = told(
        LoadOpened("01JD8-7QK2", "Leads", "www.zohoapis.eu", "leads.ndjson", 10_000_000, 0),
        WindowIntended(6_300_000, 1_000, 0, 6_301_000, 6_301_000),
        *(answered(batch, inserted=1_000_000) for batch in range(6)),
        CreditsCounted(378_570, 1_000_000),
    )
    said = "\n".join(progress.block(state, width=width))
    for figure in ("inserted 6,000,000", "invalid 1,000", "6,001,000 of ~10.0 M", "sent again: 0"):
        assert figure in said
    assert "credits ~621,430 of 1,000,000 today" in said
    assert "…" not in said
    assert max(map(len, said.splitlines())) <= width


def test_a_foreign_name_takes_the_columns_that_it_needs() -> None:
    opened = LoadOpened("01JD8-7QK2", "Leads", "www.zohoapis.eu", "/data/東京の見込み客.ndjson", None, 0)
    for width in (60, 80):
        head = progress.block(told(opened), width=width)[0]
        assert text.cells(head) == width
        assert head.endswith("load 01JD8-7QK2")
    assert text.cells(text.cut("東京" * 20, 11)) <= 11
    assert text.cells("e\u0301") == 1


def test_credits_are_said_as_far_as_they_are_known() -> None:
    assert "credits" not in "\n".join(progress.block(told(OPENED)))
    left = progress.block(told(OPENED, CreditsCounted(4_321)))[-1]
    assert left.split() == ["credits", "~4,321", "left"]
    state = told(OPENED, CreditsCounted(378_570, 1_000_000), concurrency=1)
    state.look(0.0)
    state.apply(BatchSent(1, 1, 100))
    state.look(1.0)
    state.look(3.0)
    beside = " limited by: concurrency (1)               credits ~621,430 of 1,000,000 today"
    assert progress.block(state)[-1] == beside
    state.apply(GatePaused(1.0))
    assert progress.block(state)[-2:] == [
        " limited by: server (429): paused, then one probe",
        " credits ~621,430 of 1,000,000 today",
    ]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_bar_keeps_its_length_as_long_as_the_total_is_the_same(width: int) -> None:
    lengths = set()
    for inserted in (0, 9, 1_000, 5_000):
        state = told(OPENED, window(5_000, offset=1_000_000))
        state.look(0.0)
        state.apply(answered(1, inserted=inserted))
        state.look(2.0)
        bar = progress.block(state, width=width)[1]
        lengths.add(sum(map(bar.count, "━╺")))
    assert len(lengths) == 1
