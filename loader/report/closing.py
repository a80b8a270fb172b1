"""The screen on which a load closes: what it came to, and what to do next. Pure.

Plain lines; every figure and every place is handed in.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from loader.errors import command
from loader.outcomes import ErrorCount, Outcome
from loader.report import text
from loader.report.retried import Retried, next_of, what_came_of
from loader.report.summary import Summary, at_its_end
from loader.report.wrapping import wrapped

NO_RECORD = "the input held no record"
_LABEL_WIDTH = 10
_KIND_LINES_MAX = 4
_BESIDE = " " * (_LABEL_WIDTH + 3)
"""Under what stands beside a label."""


class OpenDoubts(msgspec.Struct, frozen=True):
    """What is known of the records in doubt."""

    reasons: Sequence[tuple[str, int]] = ()
    """Why, and how many records; most first."""
    asked: bool = False
    """The CRM has been asked by a key, or would be: what is left is a person's to say."""


def render(
    summary: Summary,
    *,
    load_dir: str = "",
    report: str = "",
    retry: str = "",
    retried: Retried | None = None,
    load_flags: Sequence[str] = (),
    check_flags: Sequence[str] = (),
    doubts: OpenDoubts | None = None,
    width: int = 80,
) -> list[str]:
    """The closing screen, as plain lines no wider than `width`, but for paths and commands.

    `load_dir` and `report`: where its files and its report are, if they are there. `retry`: the load to be
    named to `loader retry`, where that is another one. `retried`: what later loads have made of the refused.
    `load_flags`, `check_flags`: what the load of another file, or a check, is typed with to go where this
    load went; without them the module alone is named. `doubts`: why records are in doubt.
    """
    module = ("--module", summary.module)
    return [
        *_title(summary, width),
        *_rows(summary, width),
        *_account(summary, width),
        *([f"  {NO_RECORD}"] if summary.complete and not summary.records else ()),
        *_effort(summary, width),
        *_absent(summary, width),
        *_ignored(summary, check_flags or module, width),
        *(
            _files(summary, load_dir, retry or load_dir, retried, flags=load_flags or module, width=width)
            if load_dir
            else ()
        ),
        *(_in_doubt(summary, load_dir.rstrip("/"), doubts or OpenDoubts(), width) if load_dir else ()),
        *([f"  report     {text.printable(report)}"] if report else ()),
    ]


def _title(summary: Summary, width: int) -> list[str]:
    verb = "finished" if summary.complete else "ended" if at_its_end(summary) else "stopped"
    took = f" in {text.duration(summary.seconds)}" if summary.seconds else ""
    left, right = f"load {summary.load_id} {verb}{took}", f"exit {summary.exit_code}"
    return [f"{left}{right:>{max(width - len(left), len(right) + 2)}}"]


def _rows(summary: Summary, width: int) -> list[str]:
    always = {Outcome.INSERTED, Outcome.DUPLICATE, Outcome.REJECTED, Outcome.IN_DOUBT}
    shown = [outcome for outcome in Outcome if outcome in always or summary.outcomes.of(outcome)]
    with_errors = Outcome.REJECTED if summary.outcomes.rejected else Outcome.INVALID
    lines = []
    for outcome in shown:
        number = summary.outcomes.of(outcome)
        percent = text.share(number, summary.records) if number else ""
        line = _row(outcome.value.replace("_", " "), number) + f"{percent:>10}"
        lines.append(line.rstrip())
        if outcome is with_errors and number:
            lines += _with_errors(lines.pop(), described(summary.errors), width)
    return lines


def _with_errors(line: str, kinds: list[str], width: int) -> list[str]:
    """The kinds of errors beside their number; where one of the first would not fit there, below it."""
    column = len(line) + 3
    if max(map(text.cells, kinds[:_KIND_LINES_MAX]), default=0) <= width - column:
        more = text.packed(kinds, width=width - column, lines_max=_KIND_LINES_MAX)
        return [f"{line}   {more[0]}", *(" " * column + rest for rest in more[1:])] if more else [line]
    below = text.packed(kinds, width=width - len(_BESIDE), lines_max=_KIND_LINES_MAX)
    return [line, *(_BESIDE + kind for kind in below)]


def _row(label: str, number: int) -> str:
    return f"  {label:<{_LABEL_WIDTH}}{text.count(number):>11}"


def described(errors: Sequence[ErrorCount]) -> list[str]:
    """`INVALID_DATA Email 1,102`: code, field if there is one, number."""
    return [
        text.printable(" ".join(part for part in (error.code, error.field, text.count(error.count)) if part))
        for error in errors
    ]


def _account(summary: Summary, width: int) -> list[str]:
    """Whether each line that was read has its outcome; if not, that is a defect, and it is said aloud."""
    missing = summary.lines - summary.records - summary.blank_lines
    if missing:
        direction = "too few" if missing > 0 else "too many"
        words = f"does NOT account for every line: {text.count(abs(missing))} {direction}"
    else:
        words = "accounts for every line" + (
            "" if summary.complete or at_its_end(summary) else " read so far"
        )
    if summary.blank_lines:
        words += f" (and {text.plural(summary.blank_lines, 'blank line')})"
    row = f"{_row('input', summary.records)}   "
    return wrapped(words, width=width, first=row, rest=" " * len(row))


def _effort(summary: Summary, width: int) -> list[str]:
    if not summary.calls:
        return []
    facts = [text.rate(summary.records_per_second)] if summary.records_per_second else []
    facts += [text.plural(summary.calls, "call")]
    facts += [f"{text.count(summary.retries)} sent again"] if summary.retries else []
    facts += [f"{text.count(summary.recovered)} recovered"] if summary.recovered else []
    facts += [text.plural(summary.resumes, "resume")] if summary.resumes else []
    facts += (
        [f"{text.rough(summary.credits)} credit{'s' if summary.credits != 1 else ''}"]
        if summary.credits
        else []
    )
    return ["  " + line for line in text.packed(facts, width=width - 2, lines_max=3)]


def _absent(summary: Summary, width: int) -> list[str]:
    """What a load by a key that is not unique rests on: it is said aloud."""
    if not summary.absent:
        return []
    return wrapped(
        f"{text.plural(summary.absent, 'record')} in doubt, absent in two queries, sent again: rests on the"
        " CRM's having applied nothing later than that",
        width=width,
    )


def _ignored(summary: Summary, flags: Sequence[str], width: int) -> list[str]:
    """What was sent and is not in the CRM, though its record is."""
    if not summary.ignored_fields:
        return []
    begin = f"  {'ignored':<{_LABEL_WIDTH}} "
    names = [text.printable(name) for name in summary.ignored_fields]
    why = f"; why: {command('check', summary.input, *flags)}" if summary.input != "-" else ""
    words = text.printable(f"the API ignores these members{why}")
    return [
        begin + text.joined(names, width=width - len(begin)),
        *wrapped(words, width=width, first=_BESIDE, rest=_BESIDE),
    ]


def _files(
    summary: Summary,
    load_dir: str,
    retry: str,
    retried: Retried | None,
    *,
    flags: Sequence[str],
    width: int,
) -> list[str]:
    outcomes, place = summary.outcomes, text.printable(load_dir.rstrip("/"))
    results = text.printable(command("results", load_dir.rstrip("/")))
    lines = []
    if outcomes.rejected + outcomes.invalid:
        lines += (
            _rejected(summary, place, retry.rstrip("/"), flags, width)
            if retried is None
            else _retried(place, retried, width)
        )
    if outcomes.duplicate:
        lines += _file("duplicate", "", f"field and record of each: {results} --outcome duplicate", width)
    return lines


def _in_doubt(summary: Summary, load_dir: str, doubts: OpenDoubts, width: int) -> list[str]:
    """The file of the records in doubt, why they are, and the way out: never what was tried in vain."""
    if not summary.outcomes.in_doubt:
        return []
    path, resolve = (
        f"{text.printable(load_dir)}/in-doubt.ndjson",
        text.printable(command("resolve", load_dir)),
    )
    stopped = not summary.complete and not at_its_end(summary)
    if stopped or not doubts.asked:
        how = "go on first; what is left then:" if stopped else "look them up, then:"
        lines = _file("in doubt", path, f"{how} {resolve}", width)
    else:
        lines = _file("in doubt", path, "", width)
    said = [f"{text.plural(count, 'record')}: {text.printable(why)}" for why, count in doubts.reasons if why]
    if len(said) > _KIND_LINES_MAX:
        said[_KIND_LINES_MAX:] = ["and others"]
    if doubts.asked and not stopped:
        said += [
            f"line and reason of each: {text.printable(command('results', load_dir))} --outcome in_doubt",
            f"look them up; those that the CRM has: {resolve} --as applied --lines LINES",
            f"then the others: {resolve} --as not-applied",
        ]
    return lines + [
        line for words in said for line in wrapped(words, width=width, first=_BESIDE, rest=_BESIDE)
    ]


def _rejected(summary: Summary, place: str, retried: str, flags: Sequence[str], width: int) -> list[str]:
    retry = text.printable(command("retry", retried))
    if not summary.complete:
        # Before its end a load may refuse more, and writes the file anew.
        again, or_else = "it may still grow", f"when the load is finished, fix, then: {retry}"
    elif tuple(flags) == ("--module", summary.module):
        again = text.printable(f"fix, then: {command('load', 'that-file', *flags)}")
        or_else = f"or, with the same target, key and options: {retry}"
    else:
        # What is typed by hand would have to name all of them; the retry does.
        again, or_else = "fix, then, with the same target and options:", retry
    return [
        *_file("rejected", f"{place}/rejected.ndjson", again, width),
        *wrapped(or_else, width=width, first=_BESIDE, rest=_BESIDE),
        *_file("reasons", f"{place}/rejected-reasons.ndjson", "", width),
    ]


def _retried(place: str, retried: Retried, width: int) -> list[str]:
    """Refused, and taken up by a later load since: to load the same file again would send records twice."""
    lines = _file("rejected", f"{place}/rejected.ndjson", "", width)
    lines += wrapped(what_came_of(retried), width=width, first=_BESIDE, rest=_BESIDE)
    how, typed = next_of(retried)
    return lines + wrapped(f"{how} {text.printable(typed)}".strip(), width=width, first=_BESIDE, rest=_BESIDE)


def _file(label: str, path: str, words: str, width: int) -> list[str]:
    """A file and what to do with it: on one line where there is room, else the words below it."""
    begin = f"  {label:<{_LABEL_WIDTH}} {path}"
    line = f"{begin}   {words}" if path and words else begin + words
    if text.cells(line) <= width or not words:
        return [line]
    if not path:
        return wrapped(words, width=width, first=begin, rest=_BESIDE)
    return [begin, *wrapped(words, width=width, first=_BESIDE, rest=_BESIDE)]
