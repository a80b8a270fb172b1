"""The credentials, and what they allow: as `loader auth` shows it, one finding each."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable

from loader.diagnosis.finding import Finding, ok, problem, warning
from loader.errors import ExitCode, LoaderError, command
from loader.events import Event
from loader.identity import FeatureState, Identity, whose
from loader.report.identity import needs, who
from loader.settings import Credentials, LoadSettings, Target
from loader.target import flags_of

_LINES = re.compile(r"(?<=\w)\n")
"""Where a hint's next line is another piece of advice, and not the end of a sentence."""


async def look(
    settings: LoadSettings, read: Callable[[], Credentials], *, connected: bool
) -> AsyncIterator[Finding]:
    """Findings on the credentials; asked of the service only where there is a way to it."""
    try:
        credentials = read()
    except LoaderError as error:
        yield _told(error)
        return
    kind = "a refresh token" if credentials.refreshable else "an access token, good for an hour at most"
    if not connected:
        yield warning("credentials", f"{kind} is set; not tried, for there is no way to the service")
        return
    try:
        found = await whose(settings, credentials, observe=_unheard)
    except LoaderError as error:
        yield _told(error)
        return
    yield ok("credentials", f"{kind} is accepted")
    for finding in of_identity(found, settings.target):
        yield finding


def of_identity(found: Identity, target: Target) -> list[Finding]:
    """Who it is, and each feature."""
    shown = dict(line.split("  ", 1) for line in who(found))
    facts = [
        ok(name.strip(), words.strip())
        for name, words in shown.items()
        if name.strip() in ("user", "organisation", "edition", "data centre")
    ]
    grant = command("auth", "--grant", *flags_of(target))
    return facts + [_feature(each, grant) for each in found.features]


def _feature(each: FeatureState, grant: str) -> Finding:
    check = f"scopes: {each.name}"
    if each.missing is None:
        return warning(check, f"not known: the service does not name the scopes; needs {needs(each)}")
    if not each.missing:
        return ok(check, f"allowed; needs {needs(each)}")
    said = f"not allowed; needs {needs(each)}; without: {each.without}"
    todo = f"Make a grant code with this scope too: {grant}"
    return problem(check, said, todo, ExitCode.CREDENTIALS) if each.needed else warning(check, said, todo)


def _told(error: LoaderError) -> Finding:
    said = f"{error.what}: {error.why}" if error.why else error.what
    return problem(
        "credentials", " ".join(said.split()), " ".join(_LINES.sub("; ", error.hint).split()), error.exit_code
    )


def _unheard(_: Event) -> None:
    """What is tried again shows in how it ends."""
