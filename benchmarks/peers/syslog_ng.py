"""A peer: syslog-ng's `http()` destination, the fastest thing in Debian that posts lines in batches.

The configuration alone: the daemon runs unprivileged, with its files in a folder of the run's own. No check
and no outcome a record (it looks at the status of a call, never into the answer), no log.
"""

from __future__ import annotations

from pathlib import Path

WORKERS = 8


def configuration(url: str, file: Path, ca: Path | None) -> str:
    """Read a file from its start and post it, 100 lines a call."""
    tls = f' tls(ca-file("{ca}") peer-verify(yes))' if ca else ""
    return f"""@version: 3.35
options {{ stats-freq(0); }};
source lines {{
  file("{file}" flags(no-parse) read-old-records(yes) follow-freq(1)
       log-fetch-limit(1000) log-iw-size(100000));
}};
destination api {{
  http(url("{url}/crm/v8/Leads") method("POST")
       headers("Content-Type: application/json", "Authorization: Zoho-oauthtoken benchmark")
       body("${{MSG}}") body-prefix('{{"data":[') delimiter(",") body-suffix(']}}')
       batch-lines(100) batch-timeout(200) workers({WORKERS}){tls});
}};
log {{ source(lines); destination(api); flags(flow-control); }};
"""


def command(program: str, folder: Path, url: str, file: Path, ca: Path | None) -> list[str]:
    """The daemon in the foreground, everything of it in that folder."""
    folder.mkdir(parents=True)
    (folder / "syslog-ng.conf").write_text(configuration(url, file, ca))
    return [
        program, "--foreground", "--no-caps", f"--cfgfile={folder}/syslog-ng.conf",
        f"--persist-file={folder}/persist", f"--control={folder}/control", f"--pidfile={folder}/pid",
    ]  # fmt: skip
