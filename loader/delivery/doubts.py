"""Settles doubts: by sending again, by asking, or by naming them for a person.

The rungs, from the surest down: a key that the CRM keeps unique (or the load's own stamp) lets the same
records be sent again; any other key lets the CRM be asked, twice; without a key nothing can be learnt, and
nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from enum import Enum, auto
from typing import Protocol

import msgspec

from loader.delivery.account import Account
from loader.delivery.additions import Additions
from loader.delivery.keys import KeyReader, at_lines, subset
from loader.delivery.policy import Claim
from loader.delivery.reconcile import Sought
from loader.outcomes import Settlement
from loader.records import Attempt
from loader.throttle.gate import Gate


class Rung(Enum):
    """By what a load settles its doubts."""

    SEND_AGAIN = auto()
    """The CRM itself refuses a second record with the same key."""
    ASK = auto()
    """The key tells a person's record from another's, but the CRM does not keep it unique."""
    HOLD = auto()
    """There is no key."""


class Resolver(Protocol):
    """Asks the CRM."""

    async def ask(self, claims: Sequence[Claim], *, doubt_since: float) -> Settlement: ...

    async def find(self, attempt: Attempt) -> Sought: ...


class Rest(Protocol):
    """Told while a batch rests: it keeps its task, not its place among those under way."""

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *exc: object) -> None: ...


class DoubtSettings(msgspec.Struct, frozen=True):
    """How doubts are settled."""

    rung: Rung
    key: str
    """API name of the key field; empty: none."""
    quiet_period_s: float
    shared_keys: frozenset[str] = frozenset()
    """Keys that several records in doubt bear: whose record the CRM holds cannot be told, so all are held."""


class Doubts:
    """The doubts of one load."""

    def __init__(
        self,
        settings: DoubtSettings,
        *,
        account: Account,
        resolver: Resolver,
        gate: Gate,
        rest: Rest,
        server_time: Callable[[], float],
        additions: Additions | None = None,
    ) -> None:
        self._settings = settings
        self._account = account
        self._resolver = resolver
        self._gate = gate
        self._rest = rest
        self._server_time = server_time
        self._additions = additions or Additions()
        self._reader = KeyReader(settings.key) if settings.key else None
        self._shared = set(settings.shared_keys)

    async def settle(self, attempt: Attempt, reason: str) -> Attempt:
        """What of an attempt in doubt may be sent again; the rest of it is settled or held then.

        Raises:
            GateClosedError, NotNowError: as the gate does.
        """
        telling = self._telling(attempt, reason)
        if not telling.lines:
            return telling
        again = self._settings.rung is Rung.SEND_AGAIN
        await self._keep_quiet(telling, then="sent again" if again else "asked for")
        if again:
            return telling
        return await self._ask_twice(telling, reason)

    async def settle_claims(self, attempt: Attempt, claims: Sequence[Claim]) -> None:
        """Records in doubt that the API calls duplicates, or refuses: whose are they?"""
        settlement = await self._resolver.ask(claims, doubt_since=attempt.doubt_since)
        self._account.settled(attempt, settlement)
        settled = {outcome.line for outcome in settlement.others}
        unknown = [claim.line for claim in claims if claim.line not in settled]
        self.hold(attempt, unknown, "the CRM does not show whose record it is")

    def hold(self, attempt: Attempt, lines: Collection[int], reason: str) -> None:
        """Leave records to a person. What the CRM holds under their keys is nobody's any more."""
        if not lines:
            return
        self._account.held(attempt, list(lines), reason)
        if self._reader is not None and self._additions.stamp is None and attempt.records:
            self._shared.update(filter(None, self._keys(at_lines(attempt, lines))))

    def _telling(self, attempt: Attempt, reason: str) -> Attempt:
        """The part whose keys tell which record is which; what is not in it is held."""
        if self._settings.rung is Rung.HOLD or self._reader is None:
            self.hold(attempt, attempt.lines, reason)
            return subset(attempt, ())
        keys = self._keys(attempt)
        known = subset(attempt, [place for place, key in enumerate(keys) if key and key not in self._shared])
        telling = set(known.lines)
        nameless = [line for line, key in zip(attempt.lines, keys, strict=True) if not key]
        mute = [line for line in attempt.lines if line not in telling and line not in nameless]
        self.hold(attempt, nameless, f"{reason}; it has no {self._settings.key} to ask by")
        self.hold(attempt, mute, f"{reason}; another record in doubt has the same {self._settings.key}")
        return known

    def _keys(self, attempt: Attempt) -> list[str]:
        assert self._reader is not None
        return [self._reader.read(record) for record in self.outgoing(attempt).records]

    def outgoing(self, attempt: Attempt) -> Attempt:
        """The attempt as it leaves: with what the load adds to its records."""
        return self._additions.on(attempt)

    async def _ask_twice(self, attempt: Attempt, reason: str) -> Attempt:
        """Absent in two queries, a quiet period apart: not applied. The CRM may not be slower than that."""
        absent = await self._find(attempt, reason)
        if absent.lines:
            await self._keep_quiet(absent, then="asked for")
            absent = await self._find(absent, reason)
        if absent.lines:
            evidence = f"not found by {self._settings.key}, twice, {self._settings.quiet_period_s:g} s apart"
            await self._account.resolve(absent, by="query", evidence=evidence, at=self._server_time())
        return msgspec.structs.replace(absent, in_doubt=False, doubt_since=0.0, resolved=True)

    async def _find(self, attempt: Attempt, reason: str) -> Attempt:
        """The records that the CRM does not hold; those found are settled, the unclear ones held."""
        sought = await self._resolver.find(attempt)
        self._account.settled(attempt, Settlement(others=sought.outcomes))
        self.hold(attempt, sought.unknown, f"{reason}; the CRM does not show whose record it is")
        return at_lines(attempt, sought.absent)

    async def _keep_quiet(self, attempt: Attempt, *, then: str) -> None:
        with self._account.resting(attempt, self._settings.quiet_period_s, then=then):
            async with self._rest:
                await self._gate.rest(self._settings.quiet_period_s)
