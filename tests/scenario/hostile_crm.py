"""A CRM on loopback that answers whatever a test wants, as a thread of the test; it checks no credentials."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests import canary


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def records(self) -> int:
        return len(json.loads(self.body)["data"])

    @property
    def everything(self) -> str:
        """The whole request in words, as a careless error page shows it."""
        head = "\n".join(f"{name}: {value}" for name, value in self.headers.items())
        return f"{self.method} {self.path}\n{head}\n\n{self.body.decode(errors='replace')}"


Answer = tuple[int, bytes]
Answerer = Callable[[Asked], Answer]


def as_json(status: int, value: object) -> Answer:
    return status, json.dumps(value).encode()


def refused(status: int, code: str, message: str) -> Answer:
    return as_json(status, {"code": code, "details": {}, "message": message, "status": "error"})


def inserted(asked: Asked) -> Answer:
    """Every record, with ids that nobody has to find again."""
    ids = [str(5_000_000_000_000_000_000 + number) for number in range(asked.records)]
    items = [
        {"code": "SUCCESS", "details": {"id": one}, "message": "record added", "status": "success"}
        for one in ids
    ]
    return as_json(201, {"data": items})


def granted(_: Asked) -> Answer:
    return as_json(200, {"access_token": canary.secret(), "expires_in": 3600, "token_type": "Bearer"})


def no_scope(_: Asked) -> Answer:
    """The credentials may not read the fields: the built-in ones serve."""
    return refused(401, "OAUTH_SCOPE_MISMATCH", "invalid oauth scope to access this URL")


def no_layouts(_: Asked) -> Answer:
    return 204, b""


def users(_: Asked) -> Answer:
    return as_json(200, {"users": [{"id": "7000000000001"}]})


def organisation(_: Asked) -> Answer:
    return as_json(200, {"org": [{"id": "8000000000001"}]})


@dataclass
class HostileCrm:
    """Who answers what; a test replaces what it is about."""

    token: Answerer = granted
    fields: Answerer = no_scope
    layouts: Answerer = no_layouts
    users: Answerer = users
    organisation: Answerer = organisation
    insert: Answerer = inserted
    url: str = ""
    asked: list[Asked] = field(default_factory=list)

    @property
    def target(self) -> list[str]:
        return ["--api-domain", self.url, "--accounts-url", self.url]

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        if asked.path.startswith("/oauth/"):
            return self.token(asked)
        place = asked.path.partition("/crm/v8/")[2].partition("?")[0]
        reads = {
            "settings/fields": self.fields,
            "settings/layouts": self.layouts,
            "users": self.users,
            "org": self.organisation,
        }
        return reads.get(place, self.insert)(asked)


@contextmanager
def serving(crm: HostileCrm) -> Iterator[HostileCrm]:
    """On a free port, for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._serve(b"")

        def do_POST(self) -> None:
            self._serve(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

        def _serve(self, body: bytes) -> None:
            status, answer = crm.answer(Asked(self.command, self.path, dict(self.headers), body))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the library's name
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    crm.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield crm
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
