"""The limit: wrk posts one prebuilt body again and again, and reads no answer beyond its status.

It has no records, no file and no JSON; what it reaches is what the sink can take.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.data import leads

SCRIPT = """
wrk.method = "POST"
wrk.body = io.open("{body}", "rb"):read("*a")
wrk.headers["Content-Type"] = "application/json"
"""


def command(program: str, folder: Path, url: str, *, seconds: int, connections: int = 10) -> list[str]:
    """One thread, as many connections as a load has."""
    folder.mkdir(parents=True)
    body = folder / "body.json"
    body.write_bytes(b'{"data":[' + b",".join(map(bytes.rstrip, leads(100, seed=7))) + b"]}")
    script = folder / "post.lua"
    script.write_text(SCRIPT.format(body=body))
    return [
        program, "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), f"{url}/crm/v8/Leads",
    ]  # fmt: skip
