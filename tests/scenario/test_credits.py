"""Credits of a day against the sandbox's own count: stopped at the right call, and gone on with the next day.

The sandbox charges what it lets in. So does the loader, and besides each call of which nobody knows whether
it was let in: in doubt is charged.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from loader.machine.credits import SharedCredits
from loader.wire.limits import CREDITS_WINDOW_S
from tests import own_state
from tests.crash.harness import Crm, Desk, sandbox, write_leads
from tests.scenario.test_exit_codes import free_port

SEED = int(os.environ.get("CRASH_SEED", "1"))
COUNT = 1_300
DAY = 100
"""Credits: the load needs 130, and what it asks."""
FLAGS = ("--concurrency", "4", "--key", "Email", "--quiet-period", "300ms", "--daily-credits", str(DAY))
FAULTS = (
    "429=0.08",
    "drop-after-apply=0.05",
    "drop-before-apply=0.05",
    "revoke-token=0.03",
    "error-500-after=0.03",
)
UNSEEN = "SELECT coalesce(sum((records + 9) / 10), 0) FROM calls WHERE fault = 'drop-before-apply' AND at > ?"
"""Credits of calls that got no answer and that the sandbox did not charge either."""


@contextmanager
def day(directory: Path, port: int, *flags: str) -> Iterator[Crm]:
    """The sandbox on one day: it begins with all of its credits."""
    own = ("--port", str(port), "--unique", "Leads.Email", "--token-grants", "1000", "--credits", str(DAY))
    with sandbox(directory, *own, "--seed", str(SEED), *flags) as crm:
        yield crm


def ledger_of(state: Path, clock_s: float = 0.0) -> SharedCredits:
    """The count on disk, looked at so many seconds from now."""
    (path,) = state.glob("organisations/*/credits")
    ledger = SharedCredits(warn=no_warning, clock=lambda: time.time() + clock_s)
    ledger.join(path, total=None)
    return ledger


def no_warning(text: str) -> None:
    raise AssertionError(text)


def a_day_passes(state: Path) -> None:
    """What was spent was spent a day earlier."""
    with closing(ledger_of(state)) as now:
        spent, file = now.own(), next(state.glob("organisations/*/credits"))
    file.unlink()
    earlier = SharedCredits(warn=no_warning, clock=lambda: time.time() - CREDITS_WINDOW_S - 120)
    with closing(earlier):
        earlier.join(file, total=None)
        earlier.take(spent)


def charged(crm: Crm, since: float) -> int:
    return crm.database.number("SELECT coalesce(sum(credits), 0) FROM calls WHERE at > ?", since)


def test_a_load_over_its_budget_stops_at_the_right_call_and_finishes_the_next_day(tmp_path: Path) -> None:
    state, port = Path(own_state.fresh()), free_port()
    faults = tuple(word for fault in FAULTS for word in ("--fault", fault))
    leads = write_leads(tmp_path / "leads.ndjson", COUNT, SEED)
    known = {"LOADER_STATE_DIR": str(state)}
    with day(tmp_path, port, *faults) as crm:
        desk = Desk(tmp_path, crm, leads, FLAGS, {**crm.credentials, **known})
        stopped = desk.load().ended(7)
        assert "the credits of the day are spent" in stopped.said
        assert "Run the same command again at" in stopped.said
        unseen = crm.database.number(UNSEEN, 0.0)
        with closing(ledger_of(state)) as ledger:
            # To the credit; and the next call would have been one too many.
            assert ledger.own() == charged(crm, 0.0) + unseen
            assert DAY - 10 < ledger.own() <= DAY
        refused = "SELECT count(*) FROM calls WHERE status = 429 AND fault IS NULL"
        assert crm.database.number(refused) == 0
        again = desk.load().ended(7)
        assert "the credits of the day are spent" in again.said
        # How many more there are depends on which of the numbered calls are inserts, and so on their pace.
        assert crm.database.number("SELECT count(fault) FROM calls") >= 1
    a_day_passes(state)
    began = time.time()
    with day(tmp_path, port) as crm:
        desk = Desk(tmp_path, crm, leads, FLAGS, {**crm.credentials, **known})
        desk.resume().ended(0)
        assert desk.judge() == {"inserted": COUNT}
        with closing(ledger_of(state)) as ledger:
            assert ledger.own() == charged(crm, began)
        with closing(ledger_of(state, CREDITS_WINDOW_S + 60)) as tomorrow:
            assert tomorrow.own() == 0


def test_what_the_service_says_remains_is_believed(tmp_path: Path) -> None:
    """Other programs have spent most of the day: the edition promises more than there is."""
    state = Path(own_state.fresh())
    with sandbox(tmp_path, "--credits", "100") as crm:
        known = {"LOADER_STATE_DIR": str(state)}
        leads = write_leads(tmp_path / "leads.ndjson", COUNT, SEED)
        desk = Desk(tmp_path, crm, leads, ("--json",), {**crm.credentials, **known})
        stopped = desk.load().ended(7)
        assert "the credits of the day are spent" in stopped.said
        # No more than were on their way before half was used: until then nothing is said.
        assert crm.database.number("SELECT count(*) FROM calls WHERE status = 429") < 10
        summary = json.loads(stopped.stdout)
        inserts = "SELECT sum(credits) FROM calls WHERE method = 'POST' AND path LIKE '%/Leads'"
        assert summary["credits"] == crm.database.number(inserts) == 90
        with closing(ledger_of(state)) as ledger:
            standing = ledger.standing()
            assert ledger.own() == charged(crm, 0.0)
            assert standing.total is not None
            assert 0 <= standing.total - standing.spent < 10
        told = desk.run(["check", str(leads), "--module", "Leads", *crm.target]).ended(0)
        assert "Today: 2 of 51,000 credits are free" in told.said


@pytest.mark.parametrize(
    ("flags", "inserted"),
    [(("--keep-credits", "60%"), 300), (("--keep-credits", "0"), 900)],
)
def test_what_is_kept_is_left(tmp_path: Path, flags: tuple[str, ...], inserted: int) -> None:
    with sandbox(tmp_path) as crm:
        leads = write_leads(tmp_path / "leads.ndjson", 1200, SEED)
        known = {**crm.credentials, "LOADER_STATE_DIR": own_state.fresh()}
        desk = Desk(tmp_path, crm, leads, ("--daily-credits", "100", *flags), known)
        desk.load().ended(7)
        assert crm.database.rows == inserted
        assert charged(crm, 0.0) <= (100 if inserted == 900 else 40)
        # Recorded, as the rest of the pace; and a flag of `resume` goes before that.
        desk.resume().ended(7)
        assert crm.database.rows == inserted
        desk.run([*desk.resume_command(), "--daily-credits", "1000", "--keep-credits", "1%"]).ended(0)


def test_too_little_for_a_single_call_is_said_at_once(tmp_path: Path) -> None:
    with sandbox(tmp_path) as crm:
        leads = write_leads(tmp_path / "leads.ndjson", 10, SEED)
        desk = Desk(tmp_path, crm, leads, ("--daily-credits", "100", "--keep-credits", "91%"))
        refused = desk.load().ended(2)
        refused.is_one_screen()
        assert "leave too little for a single call" in refused.said
        assert crm.database.calls == 0


def test_check_tells_what_is_left_today_and_when_the_load_would_end(tmp_path: Path) -> None:
    with sandbox(tmp_path) as crm:
        known = {"LOADER_STATE_DIR": own_state.fresh()}
        leads = write_leads(tmp_path / "leads.ndjson", 1000, SEED)
        desk = Desk(tmp_path, crm, leads, (), {**crm.credentials, **known})
        where = ["--module", "Leads", *crm.target, "--daily-credits", "200", "--keep-credits", "10%"]
        before = charged(crm, 0.0)
        told = desk.run(["check", str(leads), *where]).ended(0)
        asked = charged(crm, 0.0) - before
        assert f"Today: {180 - asked} of 200 credits are free ({asked} spent" in told.said
        assert "20 are kept for other programs" in told.said
        assert "The load would end in 1 s" in told.said
        desk.load().ended(0)
        told = desk.run(["check", str(leads), *where, "--json"]).ended(0)
        today = json.loads(told.stdout)["today"]
        assert today["free"] == 180 - charged(crm, 0.0)
        assert today["spent"] == charged(crm, 0.0)
        assert CREDITS_WINDOW_S - 60 < today["seconds"] <= CREDITS_WINDOW_S + 60


def test_a_state_that_cannot_be_kept_stops_no_load(tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("a file")
    with sandbox(tmp_path) as crm:
        known = {"LOADER_STATE_DIR": str(tmp_path / "occupied")}
        leads = write_leads(tmp_path / "leads.ndjson", 300, SEED)
        finished = Desk(tmp_path, crm, leads, (), {**crm.credentials, **known}).load().ended(0)
        assert finished.said.count("warning:") == 1
        assert "counts its own alone" in finished.said
