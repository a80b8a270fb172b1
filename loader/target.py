"""Where the records go: a data centre by name, or addresses."""

from __future__ import annotations

from urllib.parse import urlsplit

from loader.errors import UsageError
from loader.settings import Target, require_safe_url
from loader.wire.oauth import DATA_CENTRES

DEFAULT_DC = "us"


def target_of(module: str, *, dc: str | None, api_domain: str | None, accounts_url: str | None) -> Target:
    """The target that these flags name.

    Raises:
        UsageError: both a data centre and an address, an address that is not safe, or half of a pair.
    """
    if api_domain and dc:
        raise UsageError("--dc and --api-domain name two targets", hint="Give one of them.")
    if accounts_url and not (api_domain or dc):
        raise UsageError(
            "--accounts-url names half of a target",
            why="it says where access tokens come from; where the records go is not said",
            hint="Add --api-domain https://HOST, or a data centre, such as --dc eu.",
        )
    accounts = require_safe_url(accounts_url, flag="--accounts-url") if accounts_url else ""
    if not api_domain:
        centre = DATA_CENTRES[dc or DEFAULT_DC]
        return Target(module, centre.api_url, accounts or centre.accounts_url)
    api = require_safe_url(api_domain, flag="--api-domain")
    return Target(module, api, accounts or _accounts_of(api))


def _accounts_of(api_url: str) -> str:
    """Where the tokens for this address come from: known for the data centres, and one on this machine."""
    for centre in DATA_CENTRES.values():
        if centre.api_url == api_url:
            return centre.accounts_url
    if urlsplit(api_url).scheme == "http":
        return api_url
    raise UsageError(
        f"where do access tokens for {api_url} come from?",
        why="--api-domain is none of the known data centres",
        hint="Add --accounts-url https://HOST",
    )


def flags_of(target: Target) -> tuple[str, ...]:
    """The flags that name this target; none where the defaults do."""
    for name, centre in DATA_CENTRES.items():
        if centre.api_url == target.api_url:
            flags, usual = ("--dc", name), centre.accounts_url
            break
    else:
        flags, usual = ("--api-domain", target.api_url), target.api_url
    # A log of before accounts addresses were kept has none.
    if target.accounts_url not in ("", usual):
        return (*flags, "--accounts-url", target.accounts_url)
    return () if flags == ("--dc", DEFAULT_DC) else flags
