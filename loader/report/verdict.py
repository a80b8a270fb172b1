"""What a load came to in one sentence: what is certain, and what to do next. Pure."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from loader.errors import ExitCode, command
from loader.outcomes import Outcome
from loader.report.retried import Retried, next_of, what_came_of
from loader.report.summary import Summary
from loader.report.text import plural, printable


class Tone(StrEnum):
    """How much of a person's attention the end of a load wants; the values are words for a screen."""

    GOOD = "done"
    LOOK = "look at it"
    STOPPED = "stopped"


class Verdict(msgspec.Struct, frozen=True):
    """The sentence in two halves; `command` is what to type for the second, where that is a command."""

    tone: Tone
    certain: str
    next: str
    command: str = ""


_STOPPED_BY = {
    ExitCode.DEFECT: "a defect of the loader stopped it",
    ExitCode.USAGE: "its command or its surroundings are wrong",
    ExitCode.TOO_MANY_REJECTED: "more records were refused than --max-rejected allows",
    ExitCode.CREDENTIALS: "the credentials were refused",
    ExitCode.NOT_NOW: "the credits were spent, or the service was out of reach",
    ExitCode.INPUT_CHANGED: "the input was changed",
    ExitCode.DISK: "the disk under its checkpoint log is at fault",
    ExitCode.SIGINT: "it was interrupted",
    ExitCode.SIGTERM: "it was told to stop",
}


def verdict(
    summary: Summary,
    *,
    load_dir: str,
    to_go_on: str,
    retry: str = "",
    retried: Retried | None = None,
    by_error: bool = True,
) -> Verdict:
    """The verdict on a load that stands as `summary` says; `to_go_on` is the command for a stopped one.

    `retry`: the load to be named to `loader retry`, where that is another one. `retried`: what later loads
    have made of the refused records. `by_error`: an error stopped the load; without one its exit code may say
    no more than that records are still to be sent.
    """
    outcomes = summary.outcomes
    refused = outcomes.rejected + outcomes.invalid
    code = ExitCode(summary.exit_code)
    told = not summary.complete and (by_error or code is not ExitCode.NOT_NOW)
    stopped = _STOPPED_BY.get(code) if told else None
    if stopped is not None or outcomes.pending:
        because = f" because {stopped}" if stopped else ""
        return Verdict(
            Tone.STOPPED,
            f"The load stopped before its end{because}: {_settled(summary)}{_and_doubt(summary)}, and"
            " the rest of the input is not in the CRM yet;",
            "to go on from there, without inserting any record twice:",
            to_go_on,
        )
    if outcomes.in_doubt:
        them = "it" if outcomes.in_doubt == 1 else "them"
        return Verdict(
            Tone.LOOK,
            f"{_settled(summary)}, but of {plural(outcomes.in_doubt, 'record')} nobody can tell yet whether"
            f" the CRM has {them};",
            f"look {them} up in in-doubt.ndjson, or ask the CRM once more:",
            command("resolve", load_dir),
        )
    if refused and retried is not None:
        return _taken_up(summary, refused, retried)
    if refused:
        return Verdict(
            Tone.LOOK,
            f"{_in_the_crm(summary)}, and {_so_many(refused, 'was refused and is', 'were refused and are')}"
            " not there;",
            "mend rejected.ndjson, then load what it holds:",
            command("retry", retry or load_dir),
        )
    if not summary.records:
        return Verdict(Tone.GOOD, "The input held no record;", "nothing was sent.")
    if outcomes.duplicate and summary.exit_code != ExitCode.OK:
        return Verdict(
            Tone.LOOK,
            f"{_in_the_crm(summary)}, {_so_many(outcomes.duplicate, 'of them was', 'of them were')} there"
            " already;",
            "if that was expected, there is nothing left to do. To see which:",
            f"{command('results', load_dir)} --outcome duplicate",
        )
    return Verdict(Tone.GOOD, f"{_in_the_crm(summary)};", "there is nothing left to do.")


def _taken_up(summary: Summary, refused: int, retried: Retried) -> Verdict:
    """Refused, and in a later load since."""
    how, typed = next_of(retried)
    return Verdict(
        Tone.LOOK if typed else Tone.GOOD,
        f"{_in_the_crm(summary)} by this load, {_so_many(refused, 'was', 'were')} refused and"
        f" {what_came_of(retried)};",
        how or "there is nothing left to do.",
        typed,
    )


def _in_the_crm(summary: Summary) -> str:
    there = summary.outcomes.inserted + summary.outcomes.duplicate
    place = f"in {printable(summary.module)}"
    if there == summary.records:
        return f"The one record is {place}" if there == 1 else f"All {there:,} records are {place}"
    duplicate = summary.outcomes.duplicate
    before = f" ({_so_many(duplicate, 'was', 'were')} there already)" if duplicate else ""
    return f"{there:,} of {plural(summary.records, 'record')} are {place}{before}"


def _settled(summary: Summary) -> str:
    parts = [
        f"{summary.outcomes.of(outcome):,} {words}"
        for outcome, words in (
            (Outcome.INSERTED, "inserted"),
            (Outcome.DUPLICATE, "there already"),
            (Outcome.REJECTED, "rejected"),
            (Outcome.INVALID, "invalid"),
        )
        if summary.outcomes.of(outcome)
    ]
    return f"{plural(summary.outcomes.settled, 'record')} settled" + (
        f" ({', '.join(parts)})" if parts else ""
    )


def _so_many(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _and_doubt(summary: Summary) -> str:
    doubt = summary.outcomes.in_doubt
    return f", {doubt:,} in doubt" if doubt else ""
