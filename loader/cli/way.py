"""What a command that shows no load tells of its way to the service."""

from __future__ import annotations

from loader.cli.screen import say
from loader.events import Event, ServiceUnreachable, TokenAwaited, Warned


def tell_way(event: Event) -> None:
    """An observer: warnings, and what the command waits for; it would else seem to hang."""
    if isinstance(event, (Warned, ServiceUnreachable, TokenAwaited)):
        from loader.report.display import told  # noqa: PLC0415 - few commands have anything to tell

        say(told(event, verbose=False))
