"""The flags for what each insert says beside its records, and for what each record gets on its way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from loader.cli.parameters import Function, setting
from loader.errors import UsageError
from loader.wire.options import APPLY_FEATURES, SKIP_FEATURES, TRIGGERS, InsertOptions, OptionError

NO_TRIGGER = "none"
_FLAGS = {
    "lar_id": (
        "--lar-id",
        "The CRM tells it: Setup > Automation > Assignment Rules, or the assignment rules API.",
    ),
    "apply_features": ("--apply-feature", "See: loader load --help"),
    "skip_features": ("--skip-feature", "See: loader load --help"),
    "external": ("--external", "An example: --external Contacts.Account_Name.External_Account_ID"),
    "trigger": ("--trigger", "Without the flag all automations run; none of them run with --trigger none."),
}


class Words(click.ParamType[tuple[str, ...]]):
    """Words with commas between them."""

    name = "words"

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        words = tuple(word.strip() for word in str(value).split(","))
        if not all(words):
            self.fail("it names nothing, or nothing between two commas", param, ctx)
        return words

    def split_envvar_value(self, rv: str) -> list[str]:
        """A variable holds all values of the flag; blanks between them do as commas do."""
        return rv.replace(",", " ").split() or [rv]


def insert_flags(command: Function) -> Function:
    """Adds the flags; `insert_options` reads them."""
    several: dict[str, Any] = {"type": Words(), "multiple": True}
    for option in reversed(
        (
            setting(
                "--trigger",
                metavar="NAMES",
                help=f"Automations to run: {', '.join(TRIGGERS)}; or none.  [default: all]",
                **several,
            ),
            setting("--layout-id", default="", metavar="ID", help="Layout of each record that names none."),
            setting("--lar-id", default="", metavar="ID", help="Assignment rule to apply."),
            setting(
                "--apply-feature",
                metavar="NAMES",
                help=f"Have the CRM apply: {', '.join(APPLY_FEATURES)}.",
                **several,
            ),
            setting(
                "--skip-feature",
                metavar="NAMES",
                help=f"Have the CRM leave out: {', '.join(SKIP_FEATURES)}.",
                **several,
            ),
            setting(
                "--external",
                metavar="PATH",
                help="Lookup that is given by an external field, as Module.Lookup.Field; may be repeated.",
                **several,
            ),
            setting("--approval-mode", is_flag=True, help="Create the records in approval mode."),
        )
    ):
        command = option(command)
    return command


def insert_options(flags: Mapping[str, Any]) -> InsertOptions:
    """The flags as options.

    Raises:
        UsageError: one has a value that the API does not know.
    """
    try:
        return InsertOptions(
            trigger=_trigger(_each(flags["trigger"])),
            lar_id=flags["lar_id"],
            apply_features=_each(flags["apply_feature"]),
            skip_features=_each(flags["skip_feature"]),
            external=_each(flags["external"]),
        )
    except OptionError as error:
        flag, hint = _FLAGS[error.option]
        raise UsageError(f"{flag} cannot be used", why=str(error), hint=hint) from None


def _each(given: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The words of a flag that was given any number of times, each once."""
    return tuple(dict.fromkeys(word for words in given for word in words))


def _trigger(words: tuple[str, ...]) -> tuple[str, ...] | None:
    if not words:
        return None
    if words == (NO_TRIGGER,):
        return ()
    if NO_TRIGGER in words:
        raise OptionError(
            "trigger", f"{NO_TRIGGER} and {words[-1 if words[0] == NO_TRIGGER else 0]} exclude each other"
        )
    return words
