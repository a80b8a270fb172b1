"""`loader repair`: after damage to the checkpoint log, so that the load can go on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loader.cli.help import Command
from loader.cli.screen import show
from loader.errors import ExitCode, command
from loader.report.text import plural
from loader.settings import how_to_go_on

if TYPE_CHECKING:
    from loader.repairing import Repaired, Sound
    from loader.settings import LoadSettings

SHOWN_MAX = 4
"""Of places, and of runs of lines: more would hide what to do next."""


@click.command(cls=Command, short_help="After damage to the log: marks what it covers as in doubt.")
@click.argument("load_dir", metavar="DIR", type=click.Path(path_type=Path))
def repair(load_dir: Path) -> int:
    """Puts a sound checkpoint log in the place of a damaged one; sends nothing.

    What the damage covers is marked as in doubt, so that nothing is inserted twice; the damaged log is kept
    beside the new one. Where it lost which lines were being sent, the input is read again: of a load from
    stdin, pipe the same bytes in. A sound log is left as it is.

    Exits 0 where nothing is in doubt, else 4: `loader resume DIR` goes on from there.
    """
    import anyio  # noqa: PLC0415 - not for --help

    from loader import repairing  # noqa: PLC0415 - as above
    from loader.directory import recorded_settings  # noqa: PLC0415 - as above

    done = anyio.run(partial(repairing.repair, load_dir))
    if isinstance(done, repairing.Sound):
        show(_sound(done))
        return ExitCode.OK
    show(_repaired(done, recorded_settings(load_dir)))
    return ExitCode.IN_DOUBT if done.in_doubt else ExitCode.OK


def _sound(found: Sound) -> Iterator[str]:
    yield f"The checkpoint log is sound ({found.log_bytes:,} bytes); nothing was changed."
    if found.torn:
        yield "A write at its end never became whole. That is no damage: the next run cuts it off."


def _repaired(done: Repaired, settings: LoadSettings) -> Iterator[str]:
    yield f"The checkpoint log of {settings.load_dir} was damaged and is repaired. Nothing was sent."
    size = sum(gap.stop - gap.start for gap in done.gaps)
    places = _listed(((gap.start, gap.stop) for gap in done.gaps), len(done.gaps))
    yield f"  damaged    {plural(size, 'byte')} in {plural(len(done.gaps), 'place')}: bytes {places}"
    if done.rebuilt:
        lines = _listed(_inclusive(done.rebuilt), len(done.rebuilt))
        yield f"  read again lines {lines}"
        yield "             their checksums were lost: they could not be compared with what was loaded"
    if done.in_doubt:
        records = plural(sum(stop - start for start, stop in done.in_doubt), "record")
        lines = _listed(_inclusive(done.in_doubt), len(done.in_doubt))
        yield f"  in doubt   {records}: lines {lines}"
    else:
        yield "  in doubt   0 records: nothing that mattered was lost"
    yield f"  kept       {done.kept} (the damaged log; delete it when the load is done)"
    yield from _what_next(done, settings)


def _what_next(done: Repaired, settings: LoadSettings) -> Iterator[str]:
    if done.complete:
        yield "The load was finished, and still is."
        return
    yield f"To go on: {how_to_go_on(settings)}"
    if not done.in_doubt:
        return
    known = settings.key or settings.stamp
    if known:
        yield f"It asks by {known} what became of the records in doubt, and settles them."
    else:
        yield "Without a key it cannot ask what became of the records in doubt: it loads the rest, and ends"
        resolve = command("resolve", settings.load_dir)
        yield f"with exit 4 and those records in in-doubt.ndjson. Then: {resolve}"


def _inclusive(lines: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    return ((start, stop - 1) for start, stop in lines)


def _listed(pairs: Iterable[tuple[int, int]], count: int) -> str:
    shown = [
        f"{start:,}" if start == stop else f"{start:,}-{stop:,}"
        for (start, stop), _ in zip(pairs, range(SHOWN_MAX), strict=False)
    ]
    more = f" and {count - SHOWN_MAX:,} more" if count > SHOWN_MAX else ""
    return ", ".join(shown) + more
