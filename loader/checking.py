"""A check of an input: every record is judged, none is sent.

The schema is the organisation's own where there are credentials, else the built-in one. The input streams,
and what is found is kept in tables of a bounded size.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from loader import preflight
from loader.connection import connect, require_same_data_centre, steady_time
from loader.errors import UsageError
from loader.events import Observer
from loader.findings import Finding, Findings
from loader.forecast import CreditForecast, Forecast, forecast, in_organisation
from loader.preflight import Preflight
from loader.records import Batch
from loader.rungs import require_layout
from loader.schema.activities import is_recurring
from loader.schema.check import Checker
from loader.schema.fields import Module
from loader.schema.modules import API_NAME, STANDARD, standard_module
from loader.schema.problems import Problem
from loader.settings import Credentials, LoadSettings
from loader.source.batches import LINE_TOO_LONG, BatchCutter
from loader.source.lines import LineSplitter
from loader.source.reader import Reader
from loader.source.streams import open_input
from loader.throttle.credits import Standing

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Checked(msgspec.Struct, frozen=True):
    """What a check found."""

    module: str
    input: str
    schema: str
    """`organisation` or `built-in`."""
    records: int
    invalid: int
    blank_lines: int
    problems: tuple[Finding, ...]
    """The most frequent first."""
    notes: tuple[Finding, ...]
    left_out: int
    edition: str
    """The organisation's, in the API's word; empty: not known."""
    forecast: Forecast
    """For the records that are good."""
    today: CreditForecast | None
    """The same where the organisation stands now; None: without credentials nothing is known of it."""


class Schema(msgspec.Struct, frozen=True):
    """What records are held against."""

    module: Module
    own: bool
    """It is the organisation's own."""
    edition: str = ""
    licences: int | None = None
    clock_offset_s: float = 0.0
    standing: Standing | None = None
    """Where the organisation stands with its credits; None: there are no credentials to know it by."""


async def schema_of(settings: LoadSettings, credentials: Credentials | None, *, observe: Observer) -> Schema:
    """The schema that these credentials may read; without credentials the built-in one.

    Raises:
        UsageError: there is no such module.
        CredentialsError, NotNowError: the service refuses to answer, or does not.
    """
    name = settings.target.module
    if credentials is None:
        module = standard_module(name)
        if module is None:
            raise _unknown(name)
        return Schema(module, own=False)
    async with connect(settings, credentials, observe) as line:
        facts: Preflight = await preflight.ask(line.service, name, observe=observe)
        require_same_data_centre(settings.target, line.tokens.api_domain)
        line.join(facts)
        standing = line.shared.credits.standing()
    require_layout(settings, facts)
    return Schema(
        facts.module,
        facts.metadata_read,
        facts.edition,
        facts.licences,
        facts.clock_offset_s,
        standing,
    )


def _unknown(name: str) -> UsageError:
    meant = API_NAME.get(name) or API_NAME.get(name.lower()) or ""
    near = next((each for each in STANDARD if each.lower() == name.lower()), meant)
    return UsageError(
        f"no module {name!r} is built in",
        why=f"the built-in modules are {', '.join(STANDARD)}",
        hint=f"Did you mean {near}?"
        if near
        else "Set the credentials, and the organisation's own fields are read.",
    )


async def check(settings: LoadSettings, schema: Schema, *, users: int | None, latency_s: float) -> Checked:
    """Judge every record of the input.

    Raises:
        UsageError, DiskError: the input cannot be read.
    """
    judge = _Judge(settings, schema)
    async with await open_input(settings.input) as stream:
        await stream.require_objects()
        splitter = LineSplitter(settings.line_bytes_max)
        cutter = BatchCutter(judge.problems_of, limit=settings.limit)
        reader = Reader(stream, splitter, cutter, batches_per_window=settings.concurrency)
        async for window in reader.windows():
            for batch in window.batches:
                judge.take(batch)
    good = judge.records - judge.invalid
    plan = forecast(good, alone=judge.alone, users=users or schema.licences or 1, latency_s=latency_s)
    return Checked(
        module=settings.target.module,
        input=settings.input,
        schema="organisation" if schema.own else "built-in",
        records=judge.records,
        invalid=judge.invalid,
        blank_lines=judge.blank_lines,
        problems=_sorted(judge.findings.problems.values()),
        notes=_sorted(judge.findings.notes.values()),
        left_out=judge.findings.left_out,
        edition=schema.edition,
        forecast=plan,
        today=None if schema.standing is None else in_organisation(plan, schema.standing),
    )


def _sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda one: (-one.count, one.code, one.field)))


class _Judge:
    """Holds the lines of batches against the schema, and counts."""

    def __init__(self, settings: LoadSettings, schema: Schema) -> None:
        module = schema.module
        self._check = Checker(
            module, now=lambda: steady_time() + schema.clock_offset_s, layout_id=settings.layout_id
        )
        self._recurring = module.api_name in ("Tasks", "Events")
        self._found: deque[tuple[Problem, ...]] = deque()
        self.findings = Findings(module)
        self.records = self.invalid = self.blank_lines = self.alone = 0

    def problems_of(self, raws: Sequence[bytes]) -> list[tuple[Problem, ...]]:
        """As the checker; what is wrong is kept until the line's number is known."""
        found = self._check.problems_of(raws)
        self._found.extend(filter(None, found))
        return found

    def take(self, batch: Batch) -> None:
        """Counts a batch; its invalid lines come in the order in which they were judged."""
        self.records += len(batch.records) + len(batch.invalid)
        self.invalid += len(batch.invalid)
        self.blank_lines += len(batch.blank)
        for invalid in batch.invalid:
            if invalid.code == LINE_TOO_LONG:
                problem = Problem(invalid.code, invalid.message)
                self.findings.add_problems(invalid.line, [problem])
            else:
                self.findings.add_problems(invalid.line, self._found.popleft())
        for line, raw in zip(batch.lines, batch.records, strict=True):
            self.findings.add_record(line, _MEMBERS.decode(raw))
            self.alone += self._recurring and is_recurring(raw)
