"""`loader sandbox`: serves the API on this machine until it is told to stop."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from loader.cli.help import Command
from loader.cli.parameters import DURATION, Whole
from loader.errors import UsageError


@click.command(cls=Command, short_help="The same API on this machine.")
@click.option("--port", type=Whole(0, 65_535), default=0, help="0 picks a free one.  [default: 0]")
@click.option("--db", type=click.Path(path_type=Path), metavar="FILE", help="[default: a temporary one]")
@click.option("--latency", type=DURATION, default=0.0, metavar="TIME", help="Of each call.  [default: none]")
@click.option("--org", type=click.Path(path_type=Path), metavar="FILE", help="The organisation, as TOML.")
@click.option("--edition", metavar="NAME", help="Its credits and calls in flight.  [default: no limits]")
@click.option("--users", type=int, default=1, show_default=True, help="Licences of the edition.")
@click.option("--concurrency", type=int, metavar="N", help="Large calls in flight, at most.  [default: 10]")
@click.option("--credits", type=int, metavar="N", help="Of 24 hours.  [default: the edition's]")
@click.option("--scopes", metavar="LIST", help="Of the access tokens, with commas.  [default: all]")
@click.option("--switch", multiple=True, metavar="NAME", help="An unconfirmed behaviour; may be repeated.")
@click.option(
    "--token-life", type=int, default=3600, show_default=True, help="Of an access token, in seconds."
)
@click.option("--token-grants", type=int, metavar="N", help="Access tokens in ten minutes.  [default: 10]")
@click.option("--grant-code", multiple=True, metavar="CODE", help="For loader auth, once; may be repeated.")
@click.option("--unique", multiple=True, metavar="MODULE.FIELD", help="A unique field; may be repeated.")
@click.option("--external", multiple=True, metavar="MODULE.FIELD", help="An external id; may be repeated.")
@click.option("--fault", multiple=True, metavar="KIND=SHARE", help="A share of the calls that go wrong.")
@click.option(
    "--slow-by", type=DURATION, default=5.0, metavar="TIME", help="With slow faults.  [default: 5s]"
)
@click.option(
    "--late-by", type=DURATION, default=2.0, metavar="TIME", help="With late-apply faults.  [default: 2s]"
)
@click.option("--seed", type=int, default=0, show_default=True, help="Which calls get the faults.")
def sandbox(
    *,
    port: int,
    db: Path | None,
    latency: float,
    org: Path | None,
    edition: str | None,
    users: int,
    concurrency: int | None,
    credits: int | None,
    scopes: str | None,
    switch: tuple[str, ...],
    token_life: int,
    token_grants: int | None,
    grant_code: tuple[str, ...],
    unique: tuple[str, ...],
    external: tuple[str, ...],
    fault: tuple[str, ...],
    slow_by: float,
    late_by: float,
    seed: int,
) -> int:
    """Serves the API on this machine, on loopback only, and stores what it accepts in SQLite.

    When it is ready it prints one JSON line to stdout: url, client_id, client_secret, refresh_token, pid.
    """
    import anyio  # noqa: PLC0415 - with the server a fifth of a second

    from loader.sandbox.app import SandboxSettings, serve  # noqa: PLC0415 - as above
    from loader.sandbox.auth import GRANTS_MAX  # noqa: PLC0415 - as above
    from loader.sandbox.faults import parse_fault  # noqa: PLC0415 - as above
    from loader.sandbox.scopes import DEFAULT  # noqa: PLC0415 - as above

    if db is not None and not db.parent.is_dir():
        raise UsageError(f"--db {db}: there is no directory {db.parent}")
    settings = SandboxSettings(
        port=port,
        db=db,
        latency_s=latency,
        org=org,
        edition=edition,
        users=users,
        concurrency=concurrency,
        credits=credits,
        scopes=DEFAULT if scopes is None else tuple(filter(None, map(str.strip, scopes.split(",")))),
        switches=frozenset(switch),
        token_life_s=token_life,
        token_grants_max=GRANTS_MAX if token_grants is None else token_grants,
        grant_codes=grant_code,
        unique=unique,
        external=external,
        faults=tuple(parse_fault(text) for text in fault),
        slow_s=slow_by,
        late_s=late_by,
        seed=seed,
    )
    anyio.run(partial(serve, settings, ready=lambda facts: _announce(facts.line())))
    return 0


def _announce(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
