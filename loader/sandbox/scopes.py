"""What an access token may be used for: OAuth scopes, and which of them each call needs. Pure.

A scope is `ZohoCRM.modules.leads.CREATE`: a group, a part of it, an operation (insert-records page, "Scope";
the pages of the other calls). Letters' case does not count here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from loader.errors import UsageError
from loader.schema.modules import API_NAME

DEFAULT: Final = (
    "ZohoCRM.modules.ALL",
    "ZohoCRM.settings.ALL",
    "ZohoCRM.users.READ",
    "ZohoCRM.org.READ",
    "ZohoCRM.coql.READ",
)
"""All that the sandbox has calls for."""

CREATE: Final = ("CREATE", "WRITE", "ALL")
"""Operations that let records be added (insert-records page: possible operation types)."""
READ: Final = ("READ", "ALL")

CUSTOM: Final = "custom"
"""The word for every custom module (insert-records page: possible module names)."""

_FORM: Final = re.compile(r"Zoho[A-Za-z]+(\.[A-Za-z0-9_]+){2,3}")
_OF_MODULE: Final = re.compile(r"zohocrm\.modules\.([a-z0-9_]+)\.[a-z]+")


def words_of(module: str, *, custom: bool) -> frozenset[str]:
    """What scopes may call this module: its API name and the names that the insert-records page lists."""
    if custom:
        return frozenset((module.casefold(), CUSTOM))
    others = (name for name, api_name in API_NAME.items() if api_name == module)
    return frozenset(name.casefold() for name in (module, module.replace("_", ""), *others))


class Scopes:
    """The scopes that the sandbox's tokens carry."""

    def __init__(self, granted: Iterable[str], words: Mapping[str, frozenset[str]]) -> None:
        """`words`: what each module is called in scopes.

        Raises:
            UsageError: what is granted is no scope, or names a module that is not served.
        """
        self.granted = tuple(granted)
        self._words = words
        self._folded = frozenset(each.casefold() for each in self.granted)
        self._modules: dict[tuple[str, tuple[str, ...]], bool] = {}
        """What was asked before: every call asks."""
        known = frozenset().union(*words.values())
        for each in self.granted:
            of_module = _OF_MODULE.fullmatch(each.casefold())
            if _FORM.fullmatch(each) is None:
                raise _no_scope(each, "it is not like ZohoCRM.modules.leads.CREATE")
            if of_module is not None and of_module[1] not in known:
                raise _no_scope(each, f"there is no module {of_module[1]!r} here")

    def module(self, module: str, operations: tuple[str, ...]) -> bool:
        """Whether they open this operation on this module; one of `operations` is enough."""
        known = self._modules.get((module, operations))
        if known is None and module in self._words:
            known = self._modules[module, operations] = self._opens(module, operations)
        return known is True

    def _opens(self, module: str, operations: tuple[str, ...]) -> bool:
        return self._any(
            f"zohocrm.modules.{word}{operation}"
            for operation in operations
            for word in ("", *(f"{each}." for each in self._words[module]))
        )

    def settings(self, part: str) -> bool:
        """Whether they open this part of the settings for reading: fields, layouts, modules."""
        return self._any(
            f"zohocrm.settings.{word}{operation}" for operation in READ for word in ("", f"{part}.")
        )

    def group(self, name: str) -> bool:
        """Whether they open this group for reading: users, org, coql."""
        return self._any(f"zohocrm.{name}.{operation}" for operation in READ)

    def _any(self, wanted: Iterable[str]) -> bool:
        return not self._folded.isdisjoint(each.casefold() for each in wanted)


def _no_scope(word: str, why: str) -> UsageError:
    return UsageError(
        f"--scopes: {word!r} cannot be used",
        why=why,
        hint='loader sandbox --scopes "ZohoCRM.modules.leads.CREATE,ZohoCRM.settings.fields.READ"',
    )
