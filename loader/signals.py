"""SIGINT and SIGTERM: what the first and the second of them do, at each stage of a load."""

from __future__ import annotations

import signal
from collections.abc import Callable

import anyio

from loader.errors import ExitCode, LoaderError
from loader.events import LoadStopping, Observer

_EXIT_CODES = {signal.SIGINT: ExitCode.SIGINT, signal.SIGTERM: ExitCode.SIGTERM}


class StoppedError(LoaderError):
    """A signal came before anything was sent."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(
            f"stopped by {number.name} before a record was sent",
            hint="Nothing is lost. Run the same command again.",
        )
        self.exit_code = _EXIT_CODES[number]


class StopSignals:
    """Watches for signals; whoever runs a stage says what they do in it."""

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
        """Until cancelled. From the main thread only, as the platform has it."""
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                if self.received is not None:
                    self.second()
                    continue
                self.received = signal.Signals(number)
                self._observe(LoadStopping(self.received.name))
                self.first()
