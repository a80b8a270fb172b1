"""HTTP as values: what the client is asked to send, and what came of it.

The transport (`client/`) turns every exception of its HTTP library into a `NoReply`; nothing above it ever
sees such an exception.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class HttpRequest(msgspec.Struct, frozen=True):
    """A call to the API, without its credentials: the transport adds the Authorization header."""

    method: str
    path: str
    """Path and query, beginning with a slash; the transport knows the host."""
    body: bytes | None = None
    headers: Mapping[str, str] = {}

    def __repr__(self) -> str:
        """The body of a token request is made of secrets, so none is ever shown."""
        return f"HttpRequest({self.method} {self.path}, {len(self.body or b''):,} bytes)"


class HttpReply(msgspec.Struct, frozen=True):
    """An answer that was read to its end."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    """Looked up by names in lower case."""
    latency_s: float
    token_number: int = 0
    """Which access token the call carried, counted from 1: a refresh is owed once for each token."""

    def __repr__(self) -> str:
        """The answer to a token request is a secret, so no body is ever shown."""
        return f"HttpReply({self.status}, {len(self.body):,} bytes, token {self.token_number})"


class Fault(StrEnum):
    """Why there is no reply, told apart by what it proves about the request."""

    UNREACHABLE = "unreachable"
    """Refused, no route, no such name: no connection was made."""
    CERTIFICATE = "certificate"
    """The server could not prove who it is: nothing was sent."""
    CONNECT_TIMEOUT = "connect_timeout"
    """No connection within the time allowed for one."""
    NOT_HANDED_OVER = "not_handed_over"
    """The last bytes of the body never reached the socket: the server cannot have had a whole request."""
    DISCONNECTED = "disconnected"
    """Closed or reset after the whole body was handed over."""
    NO_ANSWER_IN_TIME = "no_answer_in_time"
    """The whole body was handed over and the answer did not come in time."""
    BROKEN_ANSWER = "broken_answer"
    """An answer began and was cut, malformed, larger than the loader is willing to read, or too early."""
    UNKNOWN = "unknown"
    """Anything that nobody thought of."""


class NoReply(msgspec.Struct, frozen=True):
    """No answer, or none that was read to its end."""

    fault: Fault
    detail: str
    """For people; holds no header and no credential."""
    latency_s: float


Reply = HttpReply | NoReply
