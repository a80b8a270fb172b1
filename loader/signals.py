"""SIGINT, SIGTERM and SIGHUP: what the first and the second of them do, at each stage of a load."""

from __future__ import annotations

import signal
from collections.abc import Callable

import anyio

from loader.errors import ExitCode, LoaderError
from loader.events import LoadStopping, Observer

_EXIT_CODES = {
    signal.SIGINT: ExitCode.SIGINT,
    signal.SIGTERM: ExitCode.SIGTERM,
    signal.SIGHUP: ExitCode.SIGTERM,  # who closes a terminal ends what runs in it, and asks for no answer
}


def stopping_signals() -> list[signal.Signals]:
    """Those that stop a load. SIGHUP is none where it is ignored already: so `nohup` has arranged it."""
    return [one for one in _EXIT_CODES if one != signal.SIGHUP or signal.getsignal(one) != signal.SIG_IGN]


def ignore_from_now_on() -> None:
    """A load that has stopped as asked keeps its exit code, whatever signal still comes."""
    for one in _EXIT_CODES:
        signal.signal(one, signal.SIG_IGN)


class StoppedError(LoaderError):
    """A signal came before anything was sent."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(
            f"stopped by {number.name} before a record was sent",
            hint="Nothing is lost. Run the same command again.",
        )
        self.exit_code = _EXIT_CODES[number]


class StopSignals:
    """What asks a load to stop, and what that does; whoever runs a stage says what it does there."""

    def __init__(self, observe: Observer, *, otherwise: Callable[[], None]) -> None:
        """`otherwise` is what a signal does as long as nobody has said anything else."""
        self._observe = observe
        self.received: signal.Signals | None = None
        self.first = otherwise
        self.second = otherwise

    @property
    def exit_code(self) -> ExitCode | None:
        """The exit code of a load that a signal stopped; None where none came."""
        return None if self.received is None else _EXIT_CODES[self.received]

    async def watch(self) -> None:
        """Until cancelled. From the main thread only, as the platform has it.

        SIGHUP never is the second signal: a terminal that closes sends it twice, by the shell and by the
        kernel, and nobody means by that to give up the answers under way.
        """
        with anyio.open_signal_receiver(*stopping_signals()) as signals:
            async for number in signals:
                if self.received is None or number != signal.SIGHUP:
                    self.take(signal.Signals(number))

    def take(self, number: signal.Signals) -> None:
        """That signal came, or somebody asks for what it does: the first stops in order, a second at once."""
        if self.received is not None:
            self.second()
            return
        self.received = number
        self._observe(LoadStopping(number.name))
        self.first()
