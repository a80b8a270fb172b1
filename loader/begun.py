"""The load command as it was begun: what somebody types who wants the same load once more.

A hint that leaves out the target sends records into another organisation, and one that leaves out the
options has them meet other automations. So each command that begins a load, or a check, is made here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from loader.errors import command
from loader.settings import LoadSettings, Target, Threshold
from loader.target import flags_of

OPTION_FLAGS: Final = {
    "trigger": "--trigger",
    "lar_id": "--lar-id",
    "apply_feature": "--apply-feature",
    "skip_feature": "--skip-feature",
    "external": "--external",
    "layout_id": "--layout-id",
    "approval_mode": "--approval-mode",
}
"""Keys of HEAD's options that say what each record meets in the CRM, and their flags. They stay as they are:
with others, half of the records would get other automations."""
NO_TRIGGER: Final = "none"

_PACE: Final = (
    "concurrency", "rate", "keep_credits", "daily_credits", "wait_s", "max_rejected", "timeout_s",
    "patience_s", "quiet_period_s",
)  # fmt: skip
_USUAL: Final = LoadSettings(input="", load_dir=Path(), target=Target("", "", ""))


def options_of(settings: LoadSettings) -> dict[str, str]:
    """The options that are set, as they are typed, by their keys in HEAD."""
    options = settings.options
    told = {
        "trigger": "" if options.trigger is None else ",".join(options.trigger) or NO_TRIGGER,
        "lar_id": options.lar_id,
        "apply_feature": ",".join(options.apply_features),
        "skip_feature": ",".join(options.skip_features),
        "external": ",".join(options.external),
        "layout_id": settings.layout_id,
        "approval_mode": "true" if settings.approval_mode else "",
    }
    return {key: words for key, words in told.items() if words}


def option_flags(settings: LoadSettings) -> tuple[str, ...]:
    """The options that are set, as flags."""
    words = options_of(settings)
    return tuple(
        word
        for key, value in words.items()
        for word in (OPTION_FLAGS[key], *(() if key == "approval_mode" else (value,)))
    )


def told(settings: LoadSettings) -> str:
    """The same, to be shown."""
    return " ".join(option_flags(settings))


def target_flags(settings: LoadSettings) -> tuple[str, ...]:
    """Where the records go: module and organisation."""
    return ("--module", settings.target.module, *flags_of(settings.target))


def record_flags(settings: LoadSettings) -> tuple[str, ...]:
    """What becomes of each record, wherever it goes: its key, and what it meets in the CRM."""
    flags: list[str] = []
    for flag, value in (("--key", settings.key), ("--stamp", settings.stamp)):
        flags += [flag, value] if value else []
    flags += ["--key-unique"] if settings.key_unique else []
    flags += ["--no-check"] if not settings.check else []
    return (*flags, *option_flags(settings))


def flags_of_load(settings: LoadSettings) -> tuple[str, ...]:
    """All flags of a load but those for its place; what is as usual is left out, and `--append` always."""
    limit = () if settings.limit is None else ("--limit", str(settings.limit))
    ok = ("--ok-duplicates",) if settings.ok_duplicates else ()
    return (*target_flags(settings), *record_flags(settings), *limit, *ok, *_pace_flags(settings))


def how_to_start_over(settings: LoadSettings) -> str:
    """The command that loads this input from its start; what the load has inserted is inserted again."""
    words = (settings.input, *flags_of_load(settings), *_place_flags(settings), "--new")
    return f"{'... | ' if settings.from_stdin else ''}{command('load', *words)}"


def _place_flags(settings: LoadSettings) -> tuple[str, ...]:
    if settings.from_stdin or settings.load_dir.absolute() != Path(f"{settings.input}.load").absolute():
        return ("--load-dir", str(settings.load_dir))
    return ()


def _pace_flags(settings: LoadSettings) -> Iterator[str]:
    for name in _PACE:
        value = getattr(settings, name)
        if value != getattr(_USUAL, name):
            yield "--" + name.removesuffix("_s").replace("_", "-")
            yield _typed(value, seconds=name.endswith("_s"))


def _typed(value: float | Threshold, *, seconds: bool) -> str:
    if isinstance(value, Threshold):
        return f"{value.percent:g}%" if value.percent is not None else str(value.count)
    number = f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return f"{number}s" if seconds else number
