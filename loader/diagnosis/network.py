"""The way to a host, step by step: name, connection, TLS, whether the API answers there; and the clock."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from typing import Final
from urllib.parse import urlsplit

import anyio
from anyio.streams.tls import TLSAttribute, TLSStream

from loader.client.transport import HttpTransport
from loader.diagnosis.finding import Finding, ok, problem, warning
from loader.errors import ExitCode
from loader.wire import replies, requests
from loader.wire.messages import HttpReply

CLOCK_TOLERANCE_S: Final = 5.0
_DEFAULT_PORT: Final = {"https": 443, "http": 80}
_FAILURES: Final = (OSError, anyio.BrokenResourceError, anyio.EndOfStream)


async def way_to(url: str, *, what: str, timeout_s: float) -> AsyncIterator[Finding]:
    """Findings on the way to `url`, up to the first problem; each step has `timeout_s`."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _DEFAULT_PORT.get(parts.scheme, 443)
    if _is_address(host):
        yield ok(f"{what}: name", f"{host} is an address: there is no name to look up")
        async for finding in _connected(host, port, parts.scheme, what=what, timeout_s=timeout_s):
            yield finding
        return
    began = time.perf_counter()
    try:
        with anyio.fail_after(timeout_s):
            found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        yield problem(
            f"{what}: name",
            f"{host} cannot be resolved: {_cause(error)}",
            "Check the name servers of this machine (/etc/resolv.conf), and --dc or --api-domain.",
            ExitCode.NOT_NOW,
        )
        return
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    yield ok(f"{what}: name", f"{host} is {', '.join(addresses[:3])} ({_ms(began)})")
    async for finding in _connected(host, port, parts.scheme, what=what, timeout_s=timeout_s):
        yield finding


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _connected(
    host: str, port: int, scheme: str, *, what: str, timeout_s: float
) -> AsyncIterator[Finding]:
    began = time.perf_counter()
    try:
        with anyio.fail_after(timeout_s):
            stream = await anyio.connect_tcp(host, port)
    except _FAILURES as error:
        yield problem(
            f"{what}: connection",
            f"{host} port {port} cannot be reached: {_cause(error)}",
            f"The loader connects directly, not through a proxy: let this machine out to port {port}.",
            ExitCode.NOT_NOW,
        )
        return
    async with stream:
        yield ok(f"{what}: connection", f"port {port} answers ({_ms(began)})")
        if scheme != "https":
            yield warning(f"{what}: TLS", "none: plain http, which is for this machine alone")
            return
        began = time.perf_counter()
        try:
            with anyio.fail_after(timeout_s):
                secured = await TLSStream.wrap(
                    stream, hostname=host, ssl_context=ssl.create_default_context()
                )
        except ssl.SSLCertVerificationError as error:
            yield problem(
                f"{what}: TLS",
                f"{host} cannot prove who it is: {error.verify_message}",
                "Check the clock of this machine, its certificates (ca-certificates), and whether a proxy"
                " breaks TLS open.",
                ExitCode.USAGE,
            )
            return
        except _FAILURES as error:
            yield problem(
                f"{what}: TLS",
                f"no TLS with {host}: {_cause(error)}",
                "See whether a firewall or a proxy stands between.",
                ExitCode.NOT_NOW,
            )
            return
        version = secured.extra(TLSAttribute.tls_version)  # noqa: S610 - anyio's
        yield ok(f"{what}: TLS", f"{version}, the certificate is good ({_ms(began)})")


async def speaks(url: str, *, timeout_s: float, wall: Callable[[], float] = time.time) -> list[Finding]:
    """Whether the API answers at `url`, and how far its clock is from ours; asked without a token."""
    async with HttpTransport(url, None, timeout_s=timeout_s, connections=1) as transport:
        reply = await transport.send(requests.organisation())
    if not isinstance(reply, HttpReply):
        return [problem("API", reply.detail, "Try again later.", ExitCode.NOT_NOW)]
    answered = f"answers in {reply.latency_s * 1000:.0f} ms"
    if not replies.read_refusal(reply).code:
        found = [
            problem(
                "API",
                f"HTTP {reply.status} and no word of this API",
                "Check --dc or --api-domain; a captive portal answers like that too.",
                ExitCode.USAGE,
            )
        ]
    else:
        found = [ok("API", answered)]
    return [*found, clock(replies.server_time(reply.headers), wall() - reply.latency_s / 2)]


def clock(server_s: float | None, ours_s: float) -> Finding:
    """This machine's clock against the server's `Date`, both in Unix seconds."""
    if server_s is None:
        return warning("clock", "the server does not tell its time", "Compare the clock yourself: date -u")
    # The server tells whole seconds, on average half a one too little.
    offset_s = ours_s - (server_s + 0.5)
    told = f"{abs(offset_s):,.0f} s {'ahead of' if offset_s > 0 else 'behind'} the server"
    if abs(offset_s) <= CLOCK_TOLERANCE_S:
        return ok("clock", "agrees with the server's within a few seconds")
    return warning(
        "clock",
        told,
        "A load allows for it, but certificates and logs do not: synchronise it (timedatectl set-ntp true).",
    )


def _cause(error: BaseException) -> str:
    if isinstance(error, TimeoutError) and not error.errno:
        return "no answer in time"
    if isinstance(error, BaseExceptionGroup):
        return _cause(error.exceptions[0])
    if error.__cause__ is not None:
        return _cause(error.__cause__)
    return (getattr(error, "strerror", "") or type(error).__name__).strip()


def _ms(began: float) -> str:
    return f"{(time.perf_counter() - began) * 1000:.0f} ms"
