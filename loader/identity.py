"""Whose credentials these are, and what they may do: asked of the service, nothing is sent.

A grant code becomes a refresh token here too. No secret is in any message of this module.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import closing

import msgspec

from loader import preflight
from loader.client.masking import masked
from loader.client.transport import HttpTransport
from loader.connection import connect, require_same_data_centre, shared_state
from loader.errors import CredentialsError, NotNowError, UsageError
from loader.events import Observer
from loader.settings import Credentials, LoadSettings
from loader.wire import replies
from loader.wire.messages import Fault, HttpReply, HttpRequest, Reply
from loader.wire.oauth import DATA_CENTRES, Granted, TokenRefused, grant_request, read_grant
from loader.wire.scopes import FEATURES, missing, named


class FeatureState(msgspec.Struct, frozen=True):
    """A feature of the loader, and whether these credentials allow it."""

    name: str
    scopes: tuple[str, ...]
    missing: tuple[str, ...] | None
    """None: what the credentials may do is not known."""
    without: str
    needed: bool


class Identity(msgspec.Struct, frozen=True):
    """Whose credentials these are; what they may not tell is empty."""

    user: str
    user_id: str
    organisation: str
    organisation_id: str
    edition: str
    licences: int | None
    data_centre: str
    """`eu`; empty for an address that is none of the known data centres."""
    api_url: str
    renewable: bool
    """There is a refresh token; without, the access token ends within the hour."""
    scopes: tuple[str, ...]
    """None of them: the service does not name them."""
    features: tuple[FeatureState, ...]


async def whose(settings: LoadSettings, credentials: Credentials, *, observe: Observer) -> Identity:
    """Ask the service who the credentials are.

    Raises:
        UsageError: the host is not this API, or is of another data centre.
        CredentialsError: the credentials are refused.
        NotNowError: no answer within patience.
    """
    async with connect(settings, credentials, observe) as line:
        user, organisation = await preflight.ask_who(line.service)
        require_same_data_centre(settings.target, line.tokens.api_domain)
        line.shared.join(replies.read_organisation_id(organisation), total=None)
        scopes = line.tokens.scopes
    centres = {centre.api_url: name for name, centre in DATA_CENTRES.items()}
    module = settings.target.module
    return Identity(
        user=replies.read_user_name(user),
        user_id=replies.read_user_id(user),
        organisation=replies.read_company(organisation),
        organisation_id=replies.read_organisation_id(organisation),
        edition=replies.read_edition(organisation),
        licences=replies.read_licences(organisation),
        data_centre=centres.get(settings.target.api_url, ""),
        api_url=settings.target.api_url,
        renewable=credentials.refreshable,
        scopes=scopes,
        features=tuple(
            FeatureState(
                each.name,
                tuple(named(scope, module) for scope in each.scopes),
                missing(each, scopes, module=module) if scopes else None,
                each.without,
                each.needed,
            )
            for each in FEATURES
        ),
    )


async def exchange(
    settings: LoadSettings, credentials: Credentials, code: str, *, observe: Observer
) -> Granted:
    """Turn a grant code into a refresh token: asked once, for a code is good for one answer.

    `credentials` hold the client's id and secret. The access token that comes with it counts towards those
    that the refresh token is good for.

    Raises:
        CredentialsError: the code or the client is refused.
        NotNowError: the token service is out of reach; the code may be used up.
    """
    url = settings.target.accounts_url
    async with HttpTransport(url, None, timeout_s=settings.timeout_s, connections=1) as accounts:
        granted = await _exchange(accounts.send, url.partition("://")[2], credentials, code)
    renewing = msgspec.structs.replace(credentials, refresh_token=granted.refresh_token)
    with closing(shared_state(settings, renewing, observe)) as shared:
        shared.count_token()
    return granted


async def _exchange(
    send: Callable[[HttpRequest], Awaitable[Reply]], host: str, credentials: Credentials, code: str
) -> Granted:
    reply = await send(
        grant_request(client_id=credentials.client_id, client_secret=credentials.client_secret, code=code)
    )
    if not isinstance(reply, HttpReply):
        if reply.fault is Fault.CERTIFICATE:
            raise UsageError(
                f"{host} cannot prove who it is, so it is not told the grant code",
                why=reply.detail,
                hint="Check --accounts-url, the clock of this machine, and whether a proxy breaks TLS open.",
            )
        raise NotNowError(
            f"{host} gives no refresh token", why=reply.detail, hint=f"loader doctor says more. {_AGAIN}"
        )
    secrets = (code, credentials.client_secret)
    answer = read_grant(msgspec.structs.replace(reply, body=masked(reply.body, secrets)))
    if isinstance(answer, Granted):
        return answer
    if isinstance(answer, TokenRefused):
        raise CredentialsError(
            f"{host} refuses the grant code" + (f": {answer.error}" if answer.error else ""),
            why=answer.reason,
            hint=f"Check --dc and the client's id and secret. {_AGAIN}",
        )
    raise NotNowError(f"{host} gives no refresh token", why=answer.reason, hint=f"Try later. {_AGAIN}")


_AGAIN = "A code is good for one try: generate another in the API console."
