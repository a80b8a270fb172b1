"""The organisation that `--org FILE` describes: what it has beyond the standard modules, and what it refuses.

The file's shape, and nothing of what the names in it stand for: that is looked up in `tailoring.py`. Each
mistake is a UsageError that names the key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import msgspec

from loader.errors import UsageError

_UNSUPPORTED: Final = ("Documents", "Projects")
"""Modules that the API knows and does not support (insert-records page, INVALID_MODULE)."""


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file: a key that it does not know is a mistake."""


class When(_Table, frozen=True):
    """The records that something is about: those whose field has this value."""

    field: str
    value: str | int | float | bool


class OptionPlan(_Table, frozen=True):
    """An option of a picklist of which people see another word than the API takes."""

    value: str
    shown: str


class FieldPlan(_Table, frozen=True):
    """A field: a custom one, or what is to be otherwise of a standard one."""

    api_name: str
    data_type: str = ""
    length: int | None = None
    decimal_place: int | None = None
    mandatory: bool | None = None
    unique: bool | Literal["case_sensitive"] | None = None
    external: Literal["user", "org"] | None = None
    options: tuple[str | OptionPlan, ...] | None = None
    closed: bool | None = None
    lookup: str | None = None
    """Of a lookup: the module that it refers to."""
    link: str | None = None
    """Of a multi-select lookup: the member that holds the object with the id."""
    rows_max: int | None = None
    fields: tuple[FieldPlan, ...] = ()
    """Of a subform: the fields of its rows."""


class PipelinePlan(_Table, frozen=True):
    """A pipeline of deals."""

    name: str
    stages: tuple[str, ...]


class LayoutPlan(_Table, frozen=True):
    """A layout; without `fields` it has all of the module's."""

    id: str
    name: str
    fields: tuple[str, ...] | None = None
    required: tuple[str, ...] = ()
    pipelines: tuple[PipelinePlan, ...] = ()


class LayoutRule(_Table, frozen=True):
    """Fields that records of a layout must have when another field has a value."""

    id: str
    name: str
    layout: str
    when: When
    mandatory: tuple[str, ...]


class Dependent(_Table, frozen=True):
    """A record with a value in `field` must have one in `needs` too."""

    field: str
    needs: str


class Wizard(_Table, frozen=True):
    """A wizard, and the ways through its screens that make a record."""

    id: str
    name: str
    paths: tuple[tuple[str, ...], ...]
    """Ids of connections, in the order of the screens."""
    connections: tuple[str, ...] = ()
    """Connections that are on none of the ways."""

    @property
    def known(self) -> frozenset[str]:
        return frozenset(self.connections).union(*self.paths)


class DependentService(_Table, frozen=True):
    """A service that campaigns depend on, and the error that it gives."""

    error: Literal["NO_PERMISSION", "LIMIT_EXCEEDED", "PROCESSING_ERROR", "CANNOT_PROCESS"]
    when: When | None = None
    """None: it refuses every record."""


class ModulePlan(_Table, frozen=True):
    """What is the organisation's own about a module."""

    custom: bool = False
    label: str = ""
    refuses: Literal["NO_PERMISSION", "AUTHORIZATION_FAILED", ""] = ""
    """The error that every insert into it gets, for want of permission."""
    fields: tuple[FieldPlan, ...] = ()
    layouts: tuple[LayoutPlan, ...] = ()
    layout_rules: tuple[LayoutRule, ...] = ()
    dependents: tuple[Dependent, ...] = ()
    wizards: tuple[Wizard, ...] = ()
    dependent_service: DependentService | None = None


class UserPlan(_Table, frozen=True):
    """A user; the first one is whose refresh token the sandbox prints."""

    name: str
    email: str
    id: str = ""
    refresh_token: str = ""
    """Of a further user who is to make calls."""


class _File(_Table, frozen=True):
    company: str = "Sandbox"
    users: tuple[UserPlan, ...] = ()
    locked: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = _UNSUPPORTED
    modules: dict[str, Any] = msgspec.field(default_factory=dict)


class Organisation(msgspec.Struct, frozen=True):
    """What the file says; without a file, an organisation with nothing of its own."""

    source: str = ""
    company: str = "Sandbox"
    users: tuple[UserPlan, ...] = ()
    locked: tuple[str, ...] = ()
    """Ids of locked records."""
    unsupported: tuple[str, ...] = _UNSUPPORTED
    modules: Mapping[str, ModulePlan] = msgspec.field(default_factory=dict)

    def mistake(self, key: str, why: str) -> UsageError:
        """What is wrong with a key of the file."""
        return _mistake(self.source, f"{key}: {why}")


def read_organisation(path: Path) -> Organisation:
    """What this file says.

    Raises:
        UsageError: it cannot be read, is not TOML or has a key or a value that does not belong.
    """
    source = str(path)
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _mistake(source, error.strerror or str(error)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _mistake(source, f"it is not TOML: {error}") from None
    file = _converted(tables, _File, "", source)
    modules = {
        name: _converted(table, ModulePlan, f"modules.{name}", source) for name, table in file.modules.items()
    }
    found = Organisation(source, file.company, file.users, file.locked, file.unsupported, modules)
    _check_ids(found)
    return found


_T = TypeVar("_T")
_KEY: Final = re.compile(r"Object (?:contains unknown|missing required) field `([^`]*)`")


def _converted(table: object, type_: type[_T], prefix: str, source: str) -> _T:
    try:
        return msgspec.convert(table, type_)
    except msgspec.ValidationError as error:
        raise _mistake(source, _where_and_why(str(error), prefix)) from None


def _where_and_why(message: str, prefix: str) -> str:
    """The decoder's message with the file's own name for the place."""
    why, _, path = message.partition(" - at `")
    key = prefix + path.removeprefix("key in ").removeprefix("$").removesuffix("`")
    named = _KEY.fullmatch(why)
    if named is not None:
        key = f"{key}.{named[1]}"
        why = "there is no such key" if "unknown" in why else "it is missing"
    return f"{key.lstrip('.') or 'the file'}: {why}"


def _check_ids(organisation: Organisation) -> None:
    """Every id of the API is a text of digits."""
    for key, word in _ids(organisation):
        if not (word.isascii() and word.isdigit() and int(word) < 2**63):
            raise organisation.mistake(key, f"{word!r} is no id; an id is a text of up to 19 digits")


def _ids(organisation: Organisation) -> Iterator[tuple[str, str]]:
    for number, user in enumerate(organisation.users):
        if user.id:
            yield f"users[{number}].id", user.id
    for number, word in enumerate(organisation.locked):
        yield f"locked[{number}]", word
    for name, plan in organisation.modules.items():
        for part in ("layouts", "layout_rules", "wizards"):
            for number, each in enumerate(getattr(plan, part)):
                yield f"modules.{name}.{part}[{number}].id", each.id


def _mistake(source: str, why: str) -> UsageError:
    return UsageError(
        f"--org {source} cannot be used",
        why=why,
        hint="docs/reference/sandbox-org.toml is an example with every key",
    )
