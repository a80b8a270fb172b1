"""What a load asks the service before it sends a record: who we are, which module this is, what time it is.

Every question goes through the gate and is a read, so it is asked until it is answered or patience ends.
What the credentials may not read is no fault: the built-in schema serves, and the load says so.
"""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import msgspec

from loader.delivery.admission import admitted
from loader.delivery.backoff import delay_s
from loader.delivery.policy import Stop
from loader.delivery.refusals import stop_error
from loader.errors import UsageError
from loader.events import Observer, Warned
from loader.schema.fields import FieldType, Module
from loader.schema.layouts import layouts_from_metadata, with_layouts
from loader.schema.metadata import MetadataError, module_from_metadata, with_subfields
from loader.schema.modules import API_NAME, standard_module
from loader.throttle.gate import Gate
from loader.wire import replies, requests
from loader.wire.codes import ForCall, facts
from loader.wire.messages import Fault, HttpReply, HttpRequest, Reply
from loader.wire.pace import credits_remaining, retry_after_s


class Service(msgspec.Struct, frozen=True):
    """The service as preflight reaches it."""

    ready: Callable[[], Awaitable[None]]
    """Waits until there is an access token; where there is one, returns at once."""
    send: Callable[[HttpRequest], Awaitable[Reply]]
    renew_token: Callable[[int], Awaitable[None]]
    gate: Gate
    host: str
    wall_clock: Callable[[], float]


class Preflight(msgspec.Struct, frozen=True):
    """What the service said."""

    module: Module
    metadata_read: bool
    """The module's fields are the organisation's own, not the built-in ones."""
    organisation: str
    """Empty: the credentials may not say."""
    user_id: str
    """Empty: the credentials may not say."""
    clock_offset_s: float
    """Server's clock minus ours."""
    edition: str = ""
    """In the API's own word; empty: the credentials may not say."""
    licences: int | None = None
    """User licences; None: the credentials may not say."""


async def ask(service: Service, module_name: str, *, observe: Observer) -> Preflight:
    """Ask what a load needs to know.

    Raises:
        UsageError: no such module, or the host is not this API.
        CredentialsError: the credentials are refused.
        NotNowError: no answer within patience.
    """
    fields = await _ask(service, requests.fields(module_name))
    if fields.status in (204, 404) or replies.read_refusal(fields).code == "INVALID_MODULE":
        raise await _no_module(service, module_name, fields)
    module = _module(module_name, fields, observe=observe)
    if fields.status == 200:
        module = await _with_rows(service, module, observe=observe)
        module = await _with_layouts(service, module, observe=observe)
    user = await _ask(service, requests.current_user())
    organisation = await _ask(service, requests.organisation())
    at = replies.server_time(user.headers)
    return Preflight(
        module=module,
        metadata_read=fields.status == 200,
        organisation=replies.read_organisation_id(organisation),
        user_id=replies.read_user_id(user),
        clock_offset_s=0.0 if at is None else at - service.wall_clock(),
        edition=replies.read_edition(organisation),
        licences=replies.read_licences(organisation),
    )


async def ask_who(service: Service) -> tuple[HttpReply, HttpReply]:
    """The current user and the organisation, as answered: what may not be read is an answer too.

    Raises as `ask`.
    """
    return await _ask(service, requests.current_user()), await _ask(service, requests.organisation())


async def _no_module(service: Service, name: str, reply: HttpReply) -> UsageError:
    """Why there is nothing to load into, with the module that may be meant."""
    refused = replies.read_refusal(reply)
    asked = refused.code == "INVALID_MODULE"
    known = replies.read_module_names(await _ask(service, requests.modules())) if asked else ()
    by_lower = {each.lower(): each for each in known}
    meant = API_NAME.get(name) or API_NAME.get(name.lower(), "")
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    guess = meant if meant in known else by_lower[near[0]] if near else ""
    names = "--module takes the API name: Setup > Developer Hub > APIs and SDKs > API Names."
    return UsageError(
        f"there is no module {name!r} in this organisation",
        why=refused.message or f"the service answers HTTP {reply.status} for its fields",
        hint=f"Did you mean {guess}? {names}" if guess else names,
    )


def _module(name: str, reply: HttpReply, *, observe: Observer) -> Module:
    if reply.status == 200:
        try:
            return module_from_metadata(name, reply.body)
        except ValueError as error:
            raise UsageError(
                f"the field metadata of {name} cannot be read",
                why=str(error),
                hint="Check --dc or --api-domain: the service may not be this API.",
            ) from None
    refused = replies.read_refusal(reply)
    built_in = standard_module(name)
    if built_in is None:
        raise UsageError(
            f"nothing is known about module {name!r}",
            why=f"its field metadata may not be read ({refused.code}), and it is not a built-in module",
            hint="Give the credentials the scope ZohoCRM.settings.fields.READ.",
        )
    observe(
        Warned(
            f"the field metadata of {name} may not be read ({refused.code}): the built-in fields are used;"
            " the scope for it is ZohoCRM.settings.fields.READ"
        )
    )
    return built_in


async def _with_rows(service: Service, module: Module, *, observe: Observer) -> Module:
    """The same module, its subforms with the fields of their rows; what cannot be read stays unknown."""
    rows: dict[str, Module] = {}
    for field in module.fields:
        if field.type is FieldType.SUBFORM and field.module:
            reply = await _ask(service, requests.fields(field.module))
            if reply.status == 200:
                with _doubted(f"the fields of the rows of {field.api_name}", observe):
                    rows[field.api_name] = module_from_metadata(field.module, reply.body)
    return with_subfields(module, rows)


async def _with_layouts(service: Service, module: Module, *, observe: Observer) -> Module:
    """The same module with its layouts; without the scope for them, without."""
    reply = await _ask(service, requests.layouts(module.api_name))
    name = f"the layouts of {module.api_name}"
    if reply.status == 200:
        with _doubted(name, observe):
            return with_layouts(module, layouts_from_metadata(module.api_name, reply.body))
    elif reply.status in (401, 403):
        code = replies.read_refusal(reply).code
        observe(
            Warned(
                f"{name} may not be read ({code}): what they demand is not checked; the scope for them is"
                " ZohoCRM.settings.layouts.READ"
            )
        )
    return module


@contextmanager
def _doubted(what: str, observe: Observer) -> Iterator[None]:
    """Metadata that only makes the check better: if it is not as documented, the load goes on without."""
    try:
        yield
    except MetadataError as error:
        observe(Warned(f"{what} cannot be read, and are not checked: {error}"))


async def _ask(service: Service, question: HttpRequest) -> HttpReply:
    """The service's answer to a read, whatever it is, as long as it speaks this API."""
    tries = renewals = 0
    while True:
        async with admitted(service.gate, service.ready) as place:
            reply = await service.send(question)
            if isinstance(reply, HttpReply) and (reply.status < 429 or 430 <= reply.status < 500):
                place.passed(charged=reply.status != 401)
            elif isinstance(reply, HttpReply) and reply.status == 429:
                place.pushed_back(retry_after_s(reply))
            else:
                place.failed(reply.detail if not isinstance(reply, HttpReply) else f"HTTP {reply.status}")
            if (remaining := credits_remaining(reply)) is not None:
                place.credits_left(remaining)
        tries += 1
        if isinstance(reply, HttpReply):
            if reply.status == 401 and facts(replies.read_refusal(reply).code).call is ForCall.RENEW_TOKEN:
                renewals += 1
                if renewals > 1:
                    refusal = replies.read_refusal(reply)
                    raise stop_error(Stop.CREDENTIALS, f"HTTP 401 {refusal.code}", refusal.code)
                await service.renew_token(reply.token_number)
                continue
            if reply.status != 429 and reply.status < 500:
                _require_this_api(service, reply)
                return reply
        elif reply.fault is Fault.CERTIFICATE:
            raise UsageError(
                f"{service.host} cannot prove who it is",
                why=reply.detail,
                hint="Check --api-domain, the clock of this machine, and whether a proxy breaks TLS open.",
            )
        await service.gate.rest(delay_s(tries, jitter=0.5))


def _require_this_api(service: Service, reply: HttpReply) -> None:
    """Refuse an answer that this API would not give, before a record is sent to such a host."""
    if reply.status in (200, 204):
        if reply.status == 204 or reply.body.lstrip()[:1] == b"{":
            return
    elif code := replies.read_refusal(reply).code:
        if code == "AUTHENTICATION_FAILURE":
            raise stop_error(Stop.CREDENTIALS, f"HTTP {reply.status} {code}", code)
        return
    raise UsageError(
        f"{service.host} does not speak this API",
        why=f"it answers a question of the API with HTTP {reply.status} and no JSON of the API",
        hint="Check --dc or --api-domain.",
    )
