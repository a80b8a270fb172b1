"""The machine and what is installed on it: versions, the limit of open files, proxies."""

from __future__ import annotations

import platform
import resource
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Final

from loader.diagnosis.finding import Finding, ok, problem, warning
from loader.errors import ExitCode

_LIBRARIES: Final = ("aiohttp", "anyio", "aiolimiter", "msgspec", "orjson", "click", "rich")
_EXTRAS: Final = {"zstd": "zstandard", "fast": "uvloop", "keyring": "keyring"}
_PROXIES: Final = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


def look(environment: Mapping[str, str], *, files_needed: int) -> Iterator[Finding]:
    """Findings on this machine; `files_needed`: how many a load has open at once."""
    yield _versions()
    yield _extras()
    yield open_files(files_needed, *resource.getrlimit(resource.RLIMIT_NOFILE))
    yield proxies(environment)


def _versions() -> Finding:
    lacking = [name for name in _LIBRARIES if not _version(name)]
    loader = f"loader {_version('crm-bulk-loader') or 'not installed'}"
    told = ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES if name not in lacking)
    said = f"{loader}, Python {platform.python_version()} on {platform.system()} {platform.release()}, {told}"
    if lacking:
        return problem(
            "versions", f"{said}; missing: {', '.join(lacking)}", "Install the loader anew.", ExitCode.USAGE
        )
    return ok("versions", said)


def _extras() -> Finding:
    told = (f"{extra} {_version(name) or '(not installed)'}" for extra, name in _EXTRAS.items())
    return ok("extras", ", ".join(told))


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def open_files(needed: int, soft: int, hard: int) -> Finding:
    """The limit of open files against what a load needs; it raises the soft limit by itself."""
    most = "no limit" if hard == resource.RLIM_INFINITY else f"up to {hard:,}"
    told = f"{soft:,} files may be open, {most}; a load needs {needed}"
    if hard != resource.RLIM_INFINITY and hard < needed:
        return problem(
            "open files",
            told,
            f"Raise it: ulimit -n {max(256, needed)}; or lower --concurrency.",
            ExitCode.USAGE,
        )
    return ok("open files", told)


def proxies(environment: Mapping[str, str]) -> Finding:
    """Proxies that the environment names and the loader does not use; never their addresses."""
    named = [name for wanted in _PROXIES for name in (wanted, wanted.lower()) if environment.get(name)]
    if not named:
        return ok("proxies", "none in the environment")
    return warning(
        "proxies",
        f"{', '.join(named)} set, and ignored: records go to the API's host and nowhere else",
        "Where this machine has no way out but a proxy, let it reach the API's hosts on port 443.",
    )
