"""The load directory: begun, opened, set aside; and whose load it is.

One log makes a directory a load. Nothing here reads the input or asks the service.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from loader.begun import NO_TRIGGER, OPTION_FLAGS, options_of
from loader.checkpoint import scan
from loader.checkpoint.entries import FORMAT_VERSION, Head, NewerLoaderError
from loader.checkpoint.ledger import Ledger
from loader.checkpoint.log import CheckpointLog, Opening
from loader.errors import DiskError, LoaderError, UsageError, remedy
from loader.report import export
from loader.settings import NOTHING_KEPT, LoadSettings, Target, Threshold
from loader.wire.options import InsertOptions, OptionError

LEFT_BESIDE_THE_LOG: Final = (
    export.SUMMARY,
    export.REPORT,
    export.REJECTED,
    export.REASONS,
    export.IN_DOUBT,
)


def log_path(load_dir: Path) -> Path:
    """Where a load directory keeps its checkpoint log."""
    return load_dir / "checkpoint.log"


def open_existing(load_dir: Path) -> CheckpointLog | None:
    """The log of the load that has begun here, locked and folded; None where none has.

    Raises:
        LockedError: another loader holds it.
        DiskError: it cannot be read or believed, or is gone.
    """
    try:
        return CheckpointLog.open(log_path(load_dir))
    except UsageError:
        if (lost := _lost_log(load_dir)) is not None:
            raise lost from None
        return None  # no log, or a load that crashed before its first frame was whole: it is begun anew


def _lost_log(load_dir: Path) -> DiskError | None:
    """What a load leaves beside its log comes after it: alone, it tells of a log that was lost."""
    with readable(load_dir, what="the load directory"):
        left = [name for name in LEFT_BESIDE_THE_LOG if (load_dir / name).exists()]
        left += [path.name for path in load_dir.glob("checkpoint.log.side-*")]
    if not left:
        return None
    path = log_path(load_dir)
    return DiskError(
        f"the checkpoint log {path} is {'empty' if is_there(path) else 'gone'}",
        why=f"{left[0]} beside it tells of a load; without the log nobody knows which records it has sent",
        hint=f"Nothing was sent. Bring {path.name} back, then run the same command again. To begin anew, in a"
        " fresh directory and though records may be inserted a second time: load with --new",
    )


def create(settings: LoadSettings, opening: Opening, *, organisation: str) -> CheckpointLog:
    """A new load, durable when this returns.

    Raises:
        LockedError: another loader has just begun one here.
        DiskError: the disk refused.
    """
    head = Head(
        format_version=FORMAT_VERSION,
        load_id=_new_load_id(),
        created_at=opening.at,
        module=settings.target.module,
        api_url=settings.target.api_url,
        organisation=organisation,
        key=settings.key,
        key_unique=settings.key_unique,
        limit=settings.limit,
        check=settings.check,
        options={
            "accounts_url": settings.target.accounts_url,
            "pace": msgspec.json.encode(_pace_of(settings)).decode(),
            **options_of(settings),
        },
        input=opening.input,
        stamp=settings.stamp,
    )
    return CheckpointLog.create(log_path(settings.load_dir), head, opening)


def _new_load_id() -> str:
    """Names a load: short enough to read out, long enough to be the only one."""
    letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    text = "".join(secrets.choice(letters) for _ in range(8))
    return f"{text[:4]}-{text[4:]}"


class _Pace(msgspec.Struct, frozen=True):
    """Settings that a resume takes over although they do not shape what is sent."""

    concurrency: int = 10
    rate: float | None = None
    max_rejected: Threshold | None = None
    timeout_s: float = 60.0
    patience_s: float = 300.0
    quiet_period_s: float = 30.0
    keep_credits: Threshold = NOTHING_KEPT
    daily_credits: int | None = None
    wait_s: float = 0.0
    ok_duplicates: bool = False


def _pace_of(settings: LoadSettings) -> _Pace:
    return _Pace(**{name: getattr(settings, name) for name in _Pace.__struct_fields__})


def with_recorded_options(head: Head, settings: LoadSettings) -> LoadSettings:
    """The settings with the options that the load began with; what is not said now is taken over.

    Raises:
        UsageError: something else is said now.
        DiskError: a newer loader has recorded them.
    """
    now = options_of(settings)
    for key, words in now.items():
        before = head.options.get(key, "")
        if words != before:
            raise _other_load(settings, OPTION_FLAGS[key], before, words)
    return _with_options(settings, head)


def _with_options(settings: LoadSettings, head: Head) -> LoadSettings:
    told = head.options

    def words_of(key: str) -> tuple[str, ...]:
        return tuple(filter(None, told.get(key, "").split(",")))

    trigger = words_of("trigger")
    try:
        options = InsertOptions(
            trigger=None if not trigger else () if trigger == (NO_TRIGGER,) else trigger,
            lar_id=told.get("lar_id", ""),
            apply_features=words_of("apply_feature"),
            skip_features=words_of("skip_feature"),
            external=words_of("external"),
        )
    except OptionError as error:
        raise NewerLoaderError(f"an option that it cannot use: {error}") from None
    return msgspec.structs.replace(
        settings,
        options=options,
        layout_id=told.get("layout_id", ""),
        approval_mode="approval_mode" in told,
    )


def is_there(path: Path) -> bool:
    """Whether a file is there; a disk that does not tell has none."""
    with suppress(OSError):
        return path.exists()
    return False


def set_aside(load_dir: Path) -> None:
    """Rename a load directory, so that nothing of it is lost and a load can begin in its place."""
    if not load_dir.exists():
        return
    with suppress(DiskError):  # a damaged log is a reason to start over
        if (log := open_existing(load_dir)) is not None:
            log.close()
    number = 1
    while (aside := load_dir.with_name(f"{load_dir.name}.old-{number}")).exists():
        number += 1
    load_dir.rename(aside)


def require_same_target(head: Head, settings: LoadSettings) -> None:
    """Refuse to go on with a load directory that belongs to another load.

    Raises:
        UsageError: another module, host or limit.
    """
    told = (
        ("module", head.module, settings.target.module),
        ("host", head.api_url, settings.target.api_url),
        ("--limit", head.limit, settings.limit),
        ("--stamp", head.stamp, settings.stamp),
    )
    for what, before, now in told:
        if before != now:
            raise _other_load(settings, what, before, now)


def _other_load(settings: LoadSettings, what: str, before: object, now: object) -> UsageError:
    return UsageError(
        f"{settings.load_dir} belongs to another load",
        why=f"its {what} is {before or 'not set'}; this one's is {now or 'not set'}",
        hint="Give this load a directory of its own with --load-dir, or start over with --new.",
    )


def require_same_organisation(head: Head, settings: LoadSettings, *, organisation: str) -> None:
    """Refuse to send into another organisation what this load began in one.

    Raises:
        UsageError: the credentials belong to another one.
    """
    before = head.organisation
    if before and organisation and before != organisation:
        raise UsageError(
            f"{settings.load_dir} belongs to another organisation",
            why=f"it began in organisation {before}; these credentials belong to {organisation}",
            hint="Use the credentials that it began with, or another directory: --load-dir DIR",
        )


def recorded_settings(load_dir: Path) -> LoadSettings:
    """What the log of a load directory says about its load, for going on with it.

    Raises:
        UsageError: there is no load.
        DiskError: its log cannot be read, or is gone.
    """
    path = log_path(load_dir)
    head: Head | None = None
    with readable(path):
        if path.is_file():
            head = next((entry for _, entry in scan.scan(path) if isinstance(entry, Head)), None)
    if head is None:
        raise no_load(load_dir)
    pace = msgspec.json.decode(head.options.get("pace", "{}"), type=_Pace)
    settings = LoadSettings(
        input=head.input.name,
        load_dir=load_dir,
        target=Target(head.module, head.api_url, head.options.get("accounts_url", "")),
        key=head.key,
        key_unique=bool(head.key_unique),
        stamp=head.stamp,
        limit=head.limit,
        check=head.check,
        **msgspec.structs.asdict(pace),
    )
    return _with_options(settings, head)


def no_load(load_dir: Path) -> LoaderError:
    """Why nothing can be done with a directory that is no load directory, or not any more."""
    path = log_path(load_dir)
    return _lost_log(load_dir) or UsageError(
        f"there is no load in {load_dir}",
        why=f"{path} {'holds no load' if is_there(path) else 'does not exist'}",
        hint="To begin one: loader load FILE --module NAME",
    )


def fold_quietly(load_dir: Path) -> Ledger:
    """What the log of a load adds up to, read without a lock.

    Raises:
        UsageError: there is none.
        DamagedLogError: it cannot be believed.
        DiskError: it cannot be read, or is gone.
    """
    path = log_path(load_dir)
    try:
        with readable(path):
            return scan.fold(path)
    except FileNotFoundError:
        raise no_load(load_dir) from None


@contextmanager
def readable(path: Path, *, what: str = "the checkpoint log") -> Iterator[None]:
    """Turns what the disk says about reading a log, or `what` else it is, into an error that says so."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DiskError(
            f"{what} {path} cannot be read",
            why=error.strerror or str(error),
            hint=f"{remedy(error, 'Look after the disk and its permissions')}, then run the same command"
            " again",
        ) from error
