"""What an exception of the HTTP library proves about the request: one table.

The order of the rows matters: a ClientConnectorError is a ClientOSError, a SocketTimeoutError a TimeoutError.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import Final

import aiohttp

from loader.wire.messages import Fault


class AnswerTooLargeError(Exception):
    """The answer is larger than the loader is willing to read."""


class AnswerTooEarlyError(Exception):
    """The server says that it has done what it had not been asked in full."""


_Row = tuple[type[Exception], Fault, Fault]

# Exception, what it is while the body was not handed over, what it is once it was. A failure to connect after
# a body was handed over contradicts itself, so it proves nothing.
_FAULTS: Final[tuple[_Row, ...]] = (
    (aiohttp.ClientConnectorCertificateError, Fault.CERTIFICATE, Fault.UNKNOWN),
    (aiohttp.ServerFingerprintMismatch, Fault.CERTIFICATE, Fault.UNKNOWN),
    (aiohttp.ClientConnectorError, Fault.UNREACHABLE, Fault.UNKNOWN),
    (aiohttp.ConnectionTimeoutError, Fault.CONNECT_TIMEOUT, Fault.UNKNOWN),
    (aiohttp.ServerDisconnectedError, Fault.NOT_HANDED_OVER, Fault.DISCONNECTED),
    (aiohttp.SocketTimeoutError, Fault.NOT_HANDED_OVER, Fault.NO_ANSWER_IN_TIME),
    (asyncio.TimeoutError, Fault.NOT_HANDED_OVER, Fault.NO_ANSWER_IN_TIME),
    (aiohttp.ClientConnectionError, Fault.NOT_HANDED_OVER, Fault.DISCONNECTED),
    (aiohttp.ClientPayloadError, Fault.NOT_HANDED_OVER, Fault.BROKEN_ANSWER),
    (aiohttp.ClientResponseError, Fault.NOT_HANDED_OVER, Fault.BROKEN_ANSWER),
    (AnswerTooLargeError, Fault.NOT_HANDED_OVER, Fault.BROKEN_ANSWER),
    # Its words contradict what was sent, so they prove nothing, not even that nothing was applied.
    (AnswerTooEarlyError, Fault.BROKEN_ANSWER, Fault.BROKEN_ANSWER),
    (ConnectionError, Fault.NOT_HANDED_OVER, Fault.DISCONNECTED),
)

_WORDS: Final[dict[Fault, str]] = {
    Fault.UNREACHABLE: "no connection",
    Fault.CERTIFICATE: "the server's certificate is not accepted",
    Fault.CONNECT_TIMEOUT: "no connection in time",
    Fault.NOT_HANDED_OVER: "the connection failed before the whole request was handed over",
    Fault.DISCONNECTED: "the connection was lost before the answer",
    Fault.NO_ANSWER_IN_TIME: "no answer in time",
    Fault.BROKEN_ANSWER: "the answer is cut, malformed, too large or too early",
    Fault.UNKNOWN: "an unforeseen failure",
}


def fault_of(error: Exception, *, handed_over: bool | None) -> Fault:
    """What `error` proves about a request whose body was, or was not, handed over; None: it had no body.

    An exception without a row proves nothing, whatever was handed over.
    """
    for kind, before, after in _FAULTS:
        if isinstance(error, kind):
            # Without a body there is nothing to be handed over: the request is whole once it is sent.
            bare = after if before is Fault.NOT_HANDED_OVER else before
            return bare if handed_over is None else after if handed_over else before
    return Fault.UNKNOWN


def detail_of(error: Exception, fault: Fault) -> str:
    """For people. Never the exception's own words: some of them hold the request's headers."""
    return f"{_WORDS[fault]} ({_cause_of(error) or type(error).__name__})"


def _cause_of(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(getattr(error.certificate_error, "verify_message", ""))
    if isinstance(error, aiohttp.ClientConnectorDNSError) or isinstance(error.__cause__, socket.gaierror):
        return "the host name cannot be resolved"
    number = getattr(error, "errno", None)
    words = os.strerror(number) if isinstance(number, int) and number > 0 else ""
    if number in (errno.EMFILE, errno.ENFILE):
        # On this machine, not on the way or at the other end: patience alone does not help.
        return f"{words} on this machine: raise the limit, ulimit -n 4096"
    return words
