"""Which OAuth scopes each feature of the loader needs, and whether granted ones cover them. Pure.

A scope is `ZohoCRM.modules.leads.CREATE`: a group, a part of it that may be left out, an operation
(insert-records page, "Scope"; the pages of the other calls). Letters' case does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

MODULE: Final = "{module}"
"""Stands for the module that records go to."""


class Feature(msgspec.Struct, frozen=True):
    """Something that the loader does for a user."""

    name: str
    scopes: tuple[str, ...]
    """All of them are needed."""
    without: str
    """What becomes of a load that lacks them."""
    needed: bool = False
    """No load is possible without."""


FEATURES: Final = (
    Feature("load", (f"ZohoCRM.modules.{MODULE}.CREATE",), "no record can be inserted", needed=True),
    Feature(
        "live check",
        ("ZohoCRM.settings.fields.READ",),
        "the built-in fields serve, and a key counts as not unique",
    ),
    Feature("layouts", ("ZohoCRM.settings.layouts.READ",), "what layouts demand is not checked"),
    Feature(
        "settle doubts by COQL",
        ("ZohoCRM.coql.READ", f"ZohoCRM.modules.{MODULE}.READ"),
        "doubts are settled by a unique key alone; others are held and listed",
    ),
    Feature(
        "organisation and edition",
        ("ZohoCRM.users.READ", "ZohoCRM.org.READ"),
        "a load cannot tell another organisation, nor whose record a duplicate is",
    ),
)
"""What `loader auth` and `loader doctor` list."""

_COVERS: Final = {"CREATE": ("CREATE", "WRITE", "ALL"), "READ": ("READ", "ALL")}
"""Operation -> the ones that include it (insert-records page: possible operation types)."""


def missing(feature: Feature, granted: Iterable[str], *, module: str = "") -> tuple[str, ...]:
    """The scopes that the feature lacks. Without a module, a scope for any module will do."""
    held = [scope.casefold().split(".") for scope in granted]
    lacking = (
        named(scope, module)
        for scope in feature.scopes
        if not any(_covers(one, scope.casefold().split("."), module.casefold()) for one in held)
    )
    return tuple(dict.fromkeys(lacking))


def named(scope: str, module: str = "") -> str:
    """The scope as one asks for it; for no module in particular it is the one for all of them."""
    if MODULE not in scope:
        return scope
    return scope.replace(MODULE, module.lower()) if module else "ZohoCRM.modules.ALL"


def wanted(module: str = "") -> str:
    """All scopes of all features, with commas, as the API console takes them."""
    return ",".join(dict.fromkeys(named(scope, module) for each in FEATURES for scope in each.scopes))


def _covers(held: Sequence[str], needed: Sequence[str], module: str) -> bool:
    """Whether one granted scope includes the needed one; both in lower case and in parts."""
    if len(held) not in (3, 4) or held[:2] != needed[:2]:
        return False
    *part, operation = needed[2:]
    operations = [each.casefold() for each in _COVERS[operation.upper()]]
    if held[-1] not in operations:
        return False
    if len(held) == 3:
        return True
    if part == [MODULE]:
        return not module or held[2] in (module, module.replace("_", ""), "custom")
    return [held[2]] == part
