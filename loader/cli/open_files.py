"""The limit of open files, looked at before a load begins: met half-way, it looks like a bad disk."""

from __future__ import annotations

import resource

from loader.errors import UsageError

BESIDE_CALLS = 22
"""Files that a load has open beside a connection for each call: streams, loop, input, log, reports, state.

14 were measured, with metrics served and the input on stdin; the rest is for reading the metrics, for looking
up a name, and for another loop."""


def require(concurrency: int) -> None:
    """Raises the process's own limit where it is too low for so many calls at once.

    Raises:
        UsageError: the system does not let it.
    """
    needed = concurrency + BESIDE_CALLS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise UsageError(
            f"only {hard} files may be open at the same time; this load needs {needed}",
            why=f"--concurrency {concurrency} needs one for each call, and {BESIDE_CALLS} beside them",
            hint=f"Raise the limit (ulimit -n {max(256, needed)}), or lower --concurrency",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
