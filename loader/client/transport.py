"""Carries requests to one host and says, as a value, what came of each.

No retry, no redirect, no cookie and no proxy of the environment: what is sent, where and how often, is
decided above. Everything that the HTTP library raises ends here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Protocol, Self

import aiohttp
from yarl import URL

from loader.client.connections import SilentConnector
from loader.client.faults import AnswerTooEarlyError, AnswerTooLargeError, detail_of, fault_of
from loader.client.masking import masked
from loader.client.upload import Upload
from loader.wire.messages import HttpReply, HttpRequest, NoReply, Reply

CONNECT_TIMEOUT_S: Final = 15.0
"""Name, route and TLS together; the system's own 127 s would be most of `--patience`."""

KEEP_ALIVE_S: Final = 15.0
"""How long an idle connection is kept. A server that closes it just as a request leaves makes a doubt, so
this is well under what servers of this kind allow (60 - 75 s); during a load none is idle for this long."""

ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024
"""Field metadata of 500 fields, the largest answer that is asked for, is 1 - 3 MB; 100 results are 40 kB."""


class Token(Protocol):
    """An access token, and which one it is."""

    @property
    def value(self) -> str: ...

    @property
    def number(self) -> int: ...


class TokenSource(Protocol):
    """Where access tokens come from."""

    async def current(self) -> Token: ...

    async def renew(self, number: int) -> object: ...


class HttpTransport:
    """Connections to one host; enter it before use.

    `tokens` is None for the token service itself, whose requests carry no access token.
    """

    def __init__(
        self,
        url: str,
        tokens: TokenSource | None,
        *,
        timeout_s: float,
        connections: int,
        answer_bytes_max: int = ANSWER_BYTES_MAX,
    ) -> None:
        self._url = url.rstrip("/")
        self._tokens = tokens
        self._timeout_s = timeout_s
        self._connections = connections
        self._answer_bytes_max = answer_bytes_max
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connect_s = min(CONNECT_TIMEOUT_S, self._timeout_s / 2)
        self._session = aiohttp.ClientSession(
            connector=SilentConnector(limit=self._connections, keepalive_timeout=KEEP_ALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s, connect=connect_s, sock_connect=connect_s),
            # Uncompressed, 100 results are 40 kB and cost nothing to unpack; and no small answer can grow.
            headers={"User-Agent": "crm-bulk-loader", "Accept-Encoding": "identity"},
            # HTTPS_PROXY would send records through a host that nobody named to the loader, and a netrc entry
            # would take the place of the access token.
            trust_env=False,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def ready(self) -> None:
        """Until there is an access token for a call; without a wait where there is one.

        Raises:
            CredentialsError, NotNowError: there is none.
        """
        if self._tokens is not None:
            await self._tokens.current()

    async def send(self, request: HttpRequest) -> Reply:
        """What came of the request; sent once, if at all.

        Raises:
            CredentialsError, NotNowError: there is no access token. Nothing of the request has left then.
        """
        assert self._session is not None, "the transport is entered before use"
        headers, number, secret = request.headers, 0, ""
        if self._tokens is not None:
            token = await self._tokens.current()
            secret, number = token.value, token.number
            headers = {**headers, "Authorization": f"Zoho-oauthtoken {secret}"}
        upload = Upload(request.body) if request.body else None
        began = time.perf_counter()
        try:
            status, answer_headers, body = await self._exchange(self._session, request, headers, upload)
        except Exception as error:  # whatever it is, it becomes a value
            fault = fault_of(error, handed_over=upload.handed_over if upload else None)
            return NoReply(fault, detail_of(error, fault), time.perf_counter() - began)
        body = masked(body, (secret,))
        return HttpReply(status, body, answer_headers, time.perf_counter() - began, number)

    async def renew_token(self, number: int) -> None:
        """See to it that the next call carries a newer token than `number`: one refresh for all callers."""
        if self._tokens is not None:
            await self._tokens.renew(number)

    async def _exchange(
        self,
        session: aiohttp.ClientSession,
        request: HttpRequest,
        headers: Mapping[str, str],
        upload: Upload | None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send, and read the answer to its end; a refusal that comes before the body is through counts."""
        try:
            response = await session.request(
                request.method,
                URL(self._url + request.path, encoded=True),
                data=upload,
                headers=headers,
                allow_redirects=False,
            )
            try:
                body = await self._read(response)
                _require_not_too_early(response.status, upload)
            except BaseException:
                response.close()
                raise
        except BaseException:
            if upload is not None:
                upload.abort()
            raise
        if upload is not None and not upload.finished:
            # Nobody waits for the rest of the body any more, and the connection is of no further use.
            upload.abort()
        response.release()
        return response.status, response.headers, body

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        # Not response.read(): it would wait, without a time limit, for a body that the server has stopped
        # reading, and it has no bound.
        pieces: list[bytes] = []
        left = self._answer_bytes_max
        if (response.content_length or 0) > left:
            raise AnswerTooLargeError
        while piece := await response.content.readany():
            left -= len(piece)
            if left < 0:
                raise AnswerTooLargeError
            pieces.append(piece)
        return b"".join(pieces)


def _require_not_too_early(status: int, upload: Upload | None) -> None:
    """A refusal may come at any time; a success cannot be for a request that the server does not have."""
    if status < 300 and upload is not None and not upload.handed_over:
        raise AnswerTooEarlyError
