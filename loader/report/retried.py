"""What later loads have made of the records that a load refused: the figures and the words. Pure."""

from __future__ import annotations

import msgspec

from loader.errors import command
from loader.report.text import count, plural, printable


class Retried(msgspec.Struct, frozen=True):
    """What became of the refused records of a load in later loads of them."""

    place: str
    """The latest of these loads."""
    again: str
    """The load to be named to `loader retry`."""
    finished: bool = False
    readable: bool = True
    """What the latest came to can be told."""
    in_the_crm: int = 0
    """Records that all of them inserted or met there."""
    refused: int = 0
    """By the latest."""
    in_doubt: int = 0
    """In the latest, as `pending`."""
    pending: int = 0


def what_came_of(later: Retried) -> str:
    """One sentence without its end."""
    place = printable(later.place)
    if not later.readable:
        return f"retried in {place}, whose log cannot be read"
    taken = "1 record is" if later.in_the_crm == 1 else f"{count(later.in_the_crm)} records are"
    taken += " in the CRM now"
    if not later.finished:
        rest = f"{plural(later.in_doubt, 'record')} in doubt" if later.in_doubt else "it is not finished"
        return f"retried in {place}: {taken}, {rest}"
    refused = f"{count(later.refused)} refused again" if later.refused else "none is left to retry"
    return f"retried in {place}: {taken}, {refused}"


def next_of(later: Retried) -> tuple[str, str]:
    """What to do now, and the command for it; empty where there is nothing."""
    if not later.readable:
        return "see why:", command("status", later.place)
    if later.finished:
        if not later.refused:
            return "", ""
        return f"fix {printable(later.place)}/rejected.ndjson, then:", command("retry", later.again)
    if later.in_doubt and not later.pending:
        return "to settle them:", command("resolve", later.place)
    return "to go on with it:", command("retry", later.again)
