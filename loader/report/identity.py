"""Whose credentials these are, as lines for a person. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from loader.report.text import plural

UNKNOWN = "not told: the credentials may not say"


class FeatureFacts(Protocol):
    """What is shown of a feature."""

    @property
    def name(self) -> str: ...

    @property
    def scopes(self) -> tuple[str, ...]: ...

    @property
    def missing(self) -> tuple[str, ...] | None: ...

    @property
    def without(self) -> str: ...


class IdentityFacts(Protocol):
    """What is shown of an identity."""

    @property
    def user(self) -> str: ...

    @property
    def user_id(self) -> str: ...

    @property
    def organisation(self) -> str: ...

    @property
    def organisation_id(self) -> str: ...

    @property
    def edition(self) -> str: ...

    @property
    def licences(self) -> int | None: ...

    @property
    def data_centre(self) -> str: ...

    @property
    def api_url(self) -> str: ...

    @property
    def renewable(self) -> bool: ...

    @property
    def scopes(self) -> tuple[str, ...]: ...


def who(facts: IdentityFacts) -> Iterator[str]:
    """User, organisation, data centre and edition."""
    licences = f", {plural(facts.licences, 'licence')}" if facts.licences else ""
    centre = f"{facts.data_centre}, " if facts.data_centre else ""
    life = (
        "a refresh token, renewed as needed"
        if facts.renewable
        else "an access token, good for an hour at most"
    )
    rows = (
        ("user", _with_id(facts.user, facts.user_id)),
        ("organisation", _with_id(facts.organisation, facts.organisation_id)),
        ("edition", f"{facts.edition}{licences}" if facts.edition else UNKNOWN),
        ("data centre", f"{centre}{facts.api_url}"),
        ("credentials", life),
        ("scopes", " ".join(facts.scopes) or "not named by the service"),
    )
    for name, words in rows:
        yield f"{name:12}  {words}"


def may(features: Sequence[FeatureFacts]) -> Iterator[str]:
    """Each feature, the scopes that it needs, and which of them are missing."""
    width = max(len(each.name) for each in features)
    for each in features:
        if each.missing is None:
            yield f"?  {each.name:{width}}  not known: the service does not name the scopes"
        elif each.missing:
            yield f"-  {each.name:{width}}  not allowed; without: {each.without}"
        else:
            yield f"+  {each.name:{width}}  allowed"
        yield f"   {'':{width}}  needs {needs(each)}"


def needs(each: FeatureFacts) -> str:
    """The scopes of a feature, and of those that are missing that they are."""
    lacking = each.missing or ()
    return ", ".join(scope + (" (missing)" if scope in lacking else "") for scope in each.scopes)


def _with_id(name: str, identifier: str) -> str:
    return f"{name} ({identifier})" if name and identifier else name or identifier or UNKNOWN
