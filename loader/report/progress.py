"""Where a running load stands: events counted, and the words for it. `display.py` shows them.

No I/O and no clock: `now` is handed in, in monotonic seconds. `apply` runs on the event loop for each event,
so it only counts; whatever costs more is done when somebody looks.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

import msgspec

from loader.events import (
    BatchAnswered,
    BatchInDoubt,
    BatchRefused,
    BatchSent,
    CallPushedBack,
    CreditsCounted,
    Event,
    LoadOpened,
    QuietPeriodBegan,
    RecordsHeld,
    WindowIntended,
)
from loader.outcomes import ErrorCount, Outcome
from loader.report import text
from loader.report.closing import described
from loader.report.limiting import QUIET_PERIOD, Look, Pacing, limited_by
from loader.report.wrapping import wrapped

RATE_OVER_S = 10.0
"""Records a second are counted over this long."""
PACE_OVER_S = 2.0
"""After less than this nobody knows how long a load will take."""
LATENCIES_KEPT = 500
ERROR_KINDS_MAX = 200
"""So many kinds of errors are told apart; beyond them a hostile answer could fill the memory."""
WIDTH_MAX = 100
"""Of the first lines: what belongs together does not stand further apart."""
BAR_WIDTH_MIN = 10
ETA_WIDTH = len("    ETA 23 h 59 m")
CREDITS_COLUMN = 43
ERRORS_LABEL = " errors  "


class _Rest(msgspec.Struct, frozen=True):
    """An attempt in doubt and how many of its records still are."""

    attempt: int
    records: int


class _Resting(msgspec.Struct, frozen=True):
    """Records in doubt that rest, and until when, on the clock of the looks."""

    event: QuietPeriodBegan
    until: float


class Progress:
    """Counts a load's events. `look` is called about four times a second, or as rarely as one likes."""

    def __init__(self, *, concurrency: int, rate: float | None = None, limit: int | None = None) -> None:
        self.pacing = Pacing(concurrency)
        self.rate_limit = rate
        self.limit = limit
        self.opened: LoadOpened | None = None
        self.outcomes: Counter[Outcome] = Counter()
        self.records_read = 0
        self.input_bytes_read = 0
        self.push_backs = 0
        self.sent_again = 0
        self.held = 0
        self._left_in_doubt = 0
        """By earlier runs, and not looked into by this one so far."""
        self.credits: CreditsCounted | None = None
        self.errors: Counter[tuple[str, str]] = Counter()
        self._sent = 0
        self._answers = 0
        self._in_flight: dict[tuple[int, int], int] = {}
        """Attempts, and how many records each has."""
        self._resting: dict[int, _Rest] = {}
        self._rests: dict[int, _Resting] = {}
        self._looked_at = 0.0
        self._latencies: deque[float] = deque(maxlen=LATENCIES_KEPT)
        self._looks: deque[Look] = deque()

    def apply(self, event: Event) -> None:
        self.pacing.apply(event)
        match event:
            case BatchSent():
                self._sent += 1
                self.sent_again += event.attempt > 1
                self._in_flight[event.batch, event.attempt] = event.records
            case BatchAnswered():
                self._answered(event)
            case BatchRefused():
                self._in_flight.pop((event.batch, event.attempt), None)
            case BatchInDoubt():
                self._in_flight.pop((event.batch, event.attempt), None)
                self._rest(event)
            case WindowIntended():
                self.records_read += event.records + event.invalid
                self.outcomes[Outcome.INVALID] += event.invalid
                # Windows lag behind what is read ahead; the offset, in a compressed input, is far beyond it.
                self.input_bytes_read = min(event.input_bytes_read, event.input_offset)
                self._count_errors(event.errors)
            case CallPushedBack():
                self.push_backs += 1
            case RecordsHeld():
                self.held += event.records
            case CreditsCounted():
                self.credits = event
            case LoadOpened():
                self._open(event)
            case _:
                pass

    def _open(self, event: LoadOpened) -> None:
        self.opened = event
        for outcome in (Outcome.INSERTED, Outcome.DUPLICATE, Outcome.REJECTED, Outcome.INVALID):
            self.outcomes[outcome] += event.before.get(outcome, 0)
        self.records_read += sum(event.before.values())
        self._left_in_doubt = event.before.get(Outcome.IN_DOUBT, 0)
        self._count_errors(event.errors_before)

    def _rest(self, event: BatchInDoubt) -> None:
        if event.earlier:
            self._left_in_doubt = max(self._left_in_doubt - event.records, 0)
        before = self._resting.get(event.batch)
        # What earlier runs left of a batch may be looked into part by part.
        more = before.records if before and event.earlier and before.attempt == event.attempt else 0
        self._resting[event.batch] = _Rest(event.attempt, event.records + more)

    def _answered(self, event: BatchAnswered) -> None:
        self._in_flight.pop((event.batch, event.attempt), None)
        self._answers += 1
        self.outcomes[Outcome.INSERTED] += event.inserted
        self.outcomes[Outcome.DUPLICATE] += event.duplicate
        self.outcomes[Outcome.REJECTED] += event.rejected
        if event.latency_s:
            self._latencies.append(event.latency_s)
        self._count_errors(event.errors)
        rest = self._resting.get(event.batch)
        if rest and event.attempt > rest.attempt:
            left = rest.records - event.inserted - event.duplicate - event.rejected
            if left > 0:
                self._resting[event.batch] = _Rest(rest.attempt, left)
            else:
                del self._resting[event.batch]

    def _count_errors(self, errors: Sequence[ErrorCount]) -> None:
        for error in errors:
            kind = (error.code, error.field)
            known = kind in self.errors or len(self.errors) < ERROR_KINDS_MAX
            self.errors[kind if known else ("other codes", "")] += error.count

    @property
    def settled(self) -> int:
        return self.outcomes.total()

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def in_doubt(self) -> int:
        resting = sum(rest.records for rest in list(self._resting.values()))
        return max(resting, self.held) + self._left_in_doubt

    @property
    def ready(self) -> int:
        """Records that may be sent and are not: not yet, or not yet again."""
        in_flight = sum(list(self._in_flight.values()))
        return max(self.records_read - self.settled - self.in_doubt - in_flight, 0)

    def look(self, now: float) -> None:
        """Remembers where the load stands now: rates and limits come from these looks."""
        pacing = self.pacing
        self._rests = {
            number: self._rests.get(number, _Resting(event, now + event.seconds))
            for number, event in dict(pacing.quiet).items()
        }
        self._looked_at = now
        self._looks.append(
            Look(
                now,
                self.settled,
                self.in_flight,
                self._sent,
                pacing.allowed,
                self.ready,
                pacing.syncing,
                pacing.read_s,
                pacing.check_s,
                bool(self._rests),
                self.opened is not None,
            )
        )
        while len(self._looks) > 2 and now - self._looks[1].at >= RATE_OVER_S:
            self._looks.popleft()

    def quiet(self) -> str:
        """What rests, for how much longer at most, and what comes then; empty: nothing does."""
        rests = list(self._rests.values())
        if not rests:
            return ""
        left_s = max(one.until for one in rests) - self._looked_at
        records = text.plural(sum(one.event.records for one in rests), "record")
        then = " or ".join(sorted({one.event.then for one in rests}))
        return f"{records} in doubt: quiet period, {text.time_left(max(left_s, 0.0))} more, then {then}"

    @property
    def per_second(self) -> float:
        """Records settled a second, over the last looks."""
        if len(self._looks) < 2:
            return 0.0
        first, last = self._looks[0], self._looks[-1]
        return (last.settled - first.settled) / max(last.at - first.at, 1e-6)

    @property
    def total(self) -> int | None:
        """How many records the input seems to have; None where that cannot be told."""
        size = self.opened.input_bytes if self.opened else None
        if not size or not self.input_bytes_read:
            return None
        estimate = max(round(self.records_read * size / self.input_bytes_read), self.records_read)
        return estimate if self.limit is None else min(estimate, self.limit)

    @property
    def read_whole(self) -> bool:
        size = self.opened.input_bytes if self.opened else None
        return bool(size) and self.input_bytes_read >= (size or 0)

    @property
    def seconds_left(self) -> float | None:
        total, per_second = self.total, self.per_second
        if total is None or per_second <= 0 or not self._has_pace:
            return None
        return max(total - self.settled, 0) / per_second

    @property
    def _has_pace(self) -> bool:
        """Something was answered, and looked at for a while: a few invalid lines at the start are no pace."""
        return self._answers > 0 and self._looks[-1].at - self._looks[0].at >= PACE_OVER_S

    def latency_at(self, percentile: int) -> float | None:
        ordered = sorted(self._latencies)
        return ordered[min(len(ordered) * percentile // 100, len(ordered) - 1)] if ordered else None

    def limited_by(self) -> str:
        """What holds the load back, where that is beyond doubt; else nothing."""
        return limited_by(self.pacing, list(self._looks), rate=self.rate_limit, read_whole=self.read_whole)


def block(progress: Progress, *, width: int = 80, ascii_only: bool = False) -> list[str]:
    """The live screen, as plain lines of at most `width` columns."""
    if progress.opened is None:
        line = _starting(progress)
        return [text.cut(text.in_ascii(line) if ascii_only else line, width)]
    lines = [
        _head(progress.opened, min(width, WIDTH_MAX), ascii_only=ascii_only),
        _bar(progress, min(width, WIDTH_MAX), ascii_only=ascii_only),
        *text.flowed(_counts(progress), width=width),
        *text.flowed(_pace(progress), width=width),
        *_limit(progress, width),
        *wrapped(progress.quiet(), width=width, first=" ", rest="   "),
    ]
    if progress.errors:
        errors = [
            ErrorCount(code, field, number)
            for (code, field), number in Counter(progress.errors).most_common(5)
        ]
        kinds = text.packed(described(errors), width=width - len(ERRORS_LABEL), lines_max=2)
        labels = (ERRORS_LABEL, " " * len(ERRORS_LABEL))
        lines += [label + kind for label, kind in zip(labels, kinds, strict=False)]
    if ascii_only:
        # A foreign letter is longer when it is escaped.
        return [text.in_ascii(text.cut(text.in_ascii(line), width))[:width] for line in lines]
    return [text.cut(line, width) for line in lines]


def line(progress: Progress) -> str:
    """The same on one line, for a log."""
    opened, total = progress.opened, progress.total
    if opened is None:
        return _starting(progress)
    facts = [f"{text.count(progress.settled)} of {_total(progress)} records" if total else _settled(progress)]
    facts += [text.rate(progress.per_second), *_counts(progress)]
    facts += [f"ETA {text.time_left(progress.seconds_left)}"] if progress.seconds_left is not None else []
    limit, quiet = progress.limited_by(), progress.quiet()
    facts += [f"limited by {limit}"] if limit and limit != QUIET_PERIOD else []
    facts += [quiet] if quiet else []
    name = f"{text.name_of(opened.input_name)}: "
    percent = f"{_percent(progress)} %, " if total else ""
    return name + percent + ", ".join(facts)


def _starting(progress: Progress) -> str:
    """Before the load is open nothing is read or sent; what it waits for can be told all the same."""
    limit = progress.limited_by()
    return f"starting, limited by {limit}" if limit else "starting"


def _head(opened: LoadOpened, width: int, *, ascii_only: bool) -> str:
    left = f"{text.name_of(opened.input_name)} → {text.printable(f'{opened.module} @ {opened.host}')}"
    left = text.in_ascii(left) if ascii_only else left
    right = f"load {opened.load_id}"
    left = text.cut(left, max(width - len(right) - 2, 8))
    return left + " " * max(width - text.cells(left) - len(right), 1) + right


def _bar(progress: Progress, width: int, *, ascii_only: bool) -> str:
    total = progress.total
    if total is None:
        return f" {_settled(progress)}"
    # As long as the total is the same, so is the bar's length.
    figures_width = len(f"{text.count(total)} of {_total(progress)}")
    length = max(width - len("100 %     ") - figures_width - ETA_WIDTH, BAR_WIDTH_MIN)
    filled = min(progress.settled * length // max(total, 1), length)
    tip = 1 if filled < length else 0
    if ascii_only:
        bar = "=" * filled + "-" * (length - filled)
    else:
        bar = "━" * filled + "╺" * tip + "━" * (length - filled - tip)
    done = f"{text.count(progress.settled)} of {_total(progress)}"
    left = progress.seconds_left
    eta = f"    ETA {text.time_left(left)}" if left is not None and progress.settled < total else ""
    return f"{_percent(progress):>3} % {bar}   {done}{eta}"


def _percent(progress: Progress) -> int:
    total = progress.total or 1
    return min(progress.settled * 100 // max(total, 1), 100)


def _total(progress: Progress) -> str:
    total = progress.total or 0
    return text.count(total) if progress.read_whole else f"~{text.rough(total)}"


def _settled(progress: Progress) -> str:
    return f"{text.count(progress.settled)} records settled"


def _counts(progress: Progress) -> list[str]:
    shown = (Outcome.INSERTED, Outcome.DUPLICATE, Outcome.REJECTED)
    counts = [f"{outcome.value} {text.count(progress.outcomes[outcome])}" for outcome in shown]
    counts += [f"in doubt {text.count(progress.in_doubt)}"]
    return [*counts, f"invalid {text.count(progress.outcomes[Outcome.INVALID])}"]


def _pace(progress: Progress) -> list[str]:
    half, most = progress.latency_at(50), progress.latency_at(99)
    facts = [text.rate(progress.per_second), f"{progress.in_flight} of {progress.pacing.allowed} calls"]
    if half is not None and most is not None:
        facts.append(f"p50 {text.latency(half)}  p99 {text.latency(most)}")
    facts.append(f"429: {text.count(progress.push_backs)}")
    return [*facts, f"sent again: {text.count(progress.sent_again)}"]


def _limit(progress: Progress, width: int) -> list[str]:
    limit, spent = progress.limited_by(), _credits(progress)
    left = f" limited by: {limit}" if limit else ""
    if spent and len(left) < CREDITS_COLUMN and CREDITS_COLUMN + len(spent) <= width:
        return [f"{left:<{CREDITS_COLUMN}}{spent}"]
    return [line for line in (left, f" {spent}" if spent else "") if line]


def _credits(progress: Progress) -> str:
    """What is known of the organisation's credits; nothing where nothing is."""
    counted = progress.credits
    if counted is None:
        return ""
    if counted.a_day is None:
        return f"credits ~{text.count(counted.left)} left"
    spent = max(counted.a_day - counted.left, 0)
    return f"credits ~{text.count(spent)} of {text.count(counted.a_day)} today"
