"""`target-crm-loader`: a Singer target. Messages on stdin, STATE on stdout, all else on stderr.

A STATE is written when every record before it is settled durably, and not a moment sooner. `segments` has the
rule that keeps records from being inserted twice; this module reads messages and runs the loads.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

import anyio
import click
import msgspec

from loader.adapters.pace import Pace
from loader.adapters.segments import OpenSegment, Segment, Segments
from loader.cli import errors
from loader.client.token_memory import TokenMemory
from loader.errors import ExitCode, LoaderError, UsageError
from loader.library import Loader, LoadOptions, Report
from loader.report import listeners
from loader.report.text import printable
from loader.signals import stopping_signals

NAME: Final = "target-crm-loader"
_SETTLED: Final = (ExitCode.OK, ExitCode.NOT_ALL_INSERTED)
_NO_STATE: Final = b"null"
_AGAIN: Final = (
    "This run took nothing: its tap began at an older STATE. Start the tap from the one just written."
)
_ANEW: Final = 'To begin anew on purpose, and send every record again: another folder for "load_dirs".'


class Stream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the records of a stream go."""

    module: str
    key: str = ""
    stamp: str = ""
    ok_duplicates: bool = False


class Config(Pace, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file of `--config`, the pace in it. Credentials come from the environment, as for the command."""

    load_dirs: str
    """A folder that outlives the machine: what was received and not yet settled, and the checkpoint logs."""
    streams: dict[str, Stream | None]
    """null: the records of this stream are left out."""
    dc: str | None = None
    api_domain: str | None = None
    accounts_url: str | None = None
    segment_records: int = 100_000
    """The first STATE after so many records has them loaded."""
    without_state: bool = False
    """Records with no STATE behind them are loaded too, when the tap's output ends, however it ended."""


class Message(msgspec.Struct, frozen=True):
    """One line of the tap's. What it carries stays as the bytes that it is."""

    type: str
    stream: str = ""
    record: msgspec.Raw = msgspec.Raw(b"")
    value: msgspec.Raw = msgspec.Raw(_NO_STATE)


class Target:
    """One run: what an earlier one left is finished first, then the input is taken, segment by segment."""

    def __init__(self, config: Config, segments: Segments, states: BinaryIO) -> None:
        self._config = config
        self._segments = segments
        self._states = states
        self._token_memory = TokenMemory()
        self._worst = ExitCode.OK

    def catch_up(self, tap_began_at: bytes | None) -> int | None:
        """The exit code where this run ends here; None where its input may be taken.

        `tap_began_at`: the STATE that the tap was started from, where that is known.
        """
        left = self._segments.unfinished()
        if left is not None:
            code = self._finish(left)
            if code not in _SETTLED or bytes(left.seal.state) == _NO_STATE:
                return code
            _say(f"what an earlier run had received is loaded. {_AGAIN}")
            return ExitCode.NOT_NOW
        state = bytes(self._segments.acknowledged.state)
        if tap_began_at is not None and state != _NO_STATE and not _same(tap_began_at, state):
            self._give(state)
            _say(f"the last STATE that was written did not come to the tap. {_AGAIN} {_ANEW}")
            return ExitCode.NOT_NOW
        return None

    def take(self, lines: Iterable[bytes]) -> int:
        """Until the input ends, or a load stops.

        Raises:
            LoaderError: a message that is none, a stream of which nothing is known, a load that cannot go on.
        """
        segment = self._segments.begin()
        for number, line in enumerate(lines, start=1):
            if line.isspace():
                continue
            message = _message(number, line)
            if message.type == "RECORD" and self._wanted(message.stream):
                segment.add(message.stream, bytes(message.record))
            elif message.type == "STATE" and bytes(message.value) != _NO_STATE:
                segment.cover(bytes(message.value))
                if segment.records >= self._config.segment_records:
                    code = self._finish(segment.seal())
                    if code not in _SETTLED:
                        return code
                    segment = self._segments.begin()
            elif message.type == "BATCH":
                raise UsageError("the tap sends BATCH messages", hint="Let it send RECORD messages.")
        return self._end(segment)

    def _end(self, segment: OpenSegment) -> int:
        if segment.uncovered and self._config.without_state:
            if segment.has_state:  # a STATE that the tap did give is never replaced by none
                covered, segment = self._segments.split(segment)
                code = self._finish(covered)
                if code not in _SETTLED:
                    return code
            segment.cover(_NO_STATE)
        uncovered = segment.uncovered
        if segment.has_state:
            code = self._finish(segment.seal())
            if code not in _SETTLED:
                return code
        else:
            segment.drop()
        if uncovered:
            raise UncoveredError(uncovered)
        return self._worst

    def _wanted(self, stream: str) -> bool:
        if stream not in self._config.streams:
            raise UsageError(
                f"stream {printable(stream)} is not in the configuration",
                why="nothing says into which module its records go",
                hint='Under "streams", give it {"module": NAME}, or null to leave it out.',
            )
        return self._config.streams[stream] is not None

    def _finish(self, segment: Segment) -> int:
        """Loads it to its end and writes its STATE; the exit code, which is one of a settled load if so."""
        for stream, path in segment.files():
            into = self._config.streams.get(stream)
            if into is None:
                raise UsageError(
                    f"stream {printable(stream)} was received and is not in the configuration any more",
                    hint="Put it back for one run.",
                )
            report = anyio.run(_load, self._config, into, path, self._token_memory)
            _tell(stream, report)
            if report.exit_code not in _SETTLED:
                return report.exit_code
            self._worst = max(self._worst, ExitCode(report.exit_code))
        self._give(bytes(segment.seal.state))
        self._segments.acknowledge(segment)
        return self._worst

    def _give(self, state: bytes) -> None:
        if state == _NO_STATE:
            return
        try:
            self._states.write(state + b"\n")
            self._states.flush()
        except BrokenPipeError:
            listeners.let_go(sys.stdout)
            raise UsageError(
                "nobody reads the STATE", why="stdout was closed", hint="Run the same again: it is kept."
            ) from None


class UncoveredError(LoaderError):
    """The tap ended without a STATE for its last records."""

    exit_code = ExitCode.NOT_NOW

    def __init__(self, records: int) -> None:
        super().__init__(
            f"the tap ended without a STATE for its last {records:,} records",
            why="so it will send them again; they were not sent to the CRM",
            hint='If it did not fail and gives no STATE by design: "without_state": true',
        )


async def _load(config: Config, into: Stream, path: Path, token_memory: TokenMemory) -> Report:
    options: LoadOptions = {
        **config.options(),
        "key": into.key,
        "stamp": into.stamp,
        "ok_duplicates": into.ok_duplicates,
    }
    async with (
        Loader(
            into.module,
            dc=config.dc,
            api_domain=config.api_domain,
            accounts_url=config.accounts_url,
            token_memory=token_memory,
            **options,
        ) as loads,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(_stop_when_told, loads)
        try:
            report = await loads.load(path)
        except LoaderError as error:  # a task group would wrap it
            report, reason = None, error
        tasks.cancel_scope.cancel()
    if report is None:
        raise reason
    return report


async def _stop_when_told(loads: Loader) -> None:
    with anyio.open_signal_receiver(*stopping_signals()) as signals:
        async for _ in signals:
            loads.stop()


def _message(number: int, line: bytes) -> Message:
    try:
        message = msgspec.json.decode(line, type=Message)
    except msgspec.DecodeError as error:
        raise UsageError(f"line {number:,} of the input is no message", why=str(error)) from None
    if message.type == "RECORD" and not bytes(message.record):
        raise UsageError(f"line {number:,} of the input is no message", why="it is a RECORD without a record")
    return message


def _same(one: bytes, other: bytes) -> bool:
    return bool(msgspec.json.decode(one) == msgspec.json.decode(other))


def _tell(stream: str, report: Report) -> None:
    found = report.outcomes
    refused = found.duplicate + found.rejected + found.invalid
    parts = [f"{found.inserted:,} of {found.records:,} records inserted"]
    if refused:
        parts.append(f"{refused:,} not: loader results {report.load_dir} --failed")
    if found.in_doubt:
        parts.append(
            f"{found.in_doubt:,} in doubt, and no STATE goes beyond: loader resolve {report.load_dir}"
        )
    _say(f"stream {printable(stream)}: {'; '.join(parts)}")


def _say(text: str) -> None:
    listeners.Patient(sys.stderr).write(f"{NAME}: {text}\n")


def _config(path: Path) -> Config:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Config)
    except OSError as error:
        raise UsageError(f"cannot read {path}", why=error.strerror or str(error)) from None
    except msgspec.DecodeError as error:
        raise UsageError(f"{path} is no configuration of {NAME}", why=str(error)) from None


def _state(path: Path | None) -> bytes | None:
    """What the tap was started from; None where nobody says."""
    if path is None:
        return None
    try:
        content = path.read_bytes().strip() or _NO_STATE
        msgspec.json.decode(content)
    except OSError as error:
        raise UsageError(f"cannot read {path}", why=error.strerror or str(error)) from None
    except msgspec.DecodeError as error:
        raise UsageError(f"{path} is no STATE", why=str(error)) from None
    return content


@click.command(name=NAME, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "-c",
    "config_path",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="Which stream goes into which module, and where the CRM is.",
)
@click.option(
    "--state",
    "state_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What the tap was started from: checked, so that a STATE which got lost costs no record twice.",
)
@click.option("--catch-up", is_flag=True, help="Finish what an earlier run received; read no input.")
@click.version_option(package_name="crm-bulk-loader", prog_name=NAME)
def command(config_path: Path, state_path: Path | None, catch_up: bool) -> int:
    """Loads the records of a Singer tap: tap | target-crm-loader --config FILE

    A STATE is written to stdout when every record before it is settled.
    """
    config, tap_began_at = _config(config_path), _state(state_path)
    segments = Segments(Path(config.load_dirs))
    with segments.held():
        target = Target(config, segments, sys.stdout.buffer)
        code = target.catch_up(tap_began_at)
        if catch_up:
            return ExitCode.OK if code in (None, ExitCode.NOT_NOW) else code
        return target.take(sys.stdin.buffer) if code is None else code


def run(arguments: list[str]) -> int:
    """One command line; returns its exit code and raises nothing."""
    outcome: Any
    try:
        outcome = command.main(arguments, prog_name=NAME, standalone_mode=False)
    except SystemExit as ended:
        outcome = ended.code
    except (Exception, KeyboardInterrupt) as error:
        return errors.tell(error, debug=bool(os.environ.get("LOADER_DEBUG")))
    return int(outcome or 0)


def main() -> NoReturn:
    """The entry point of the installed command."""
    listeners.fill_closed_streams()
    sys.exit(run(sys.argv[1:]))
