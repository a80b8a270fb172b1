"""What the CRM's metadata makes of a load's settings, before it sends.

By what the load settles its doubts; and whether the layout that its records are to get is the module's.
"""

from __future__ import annotations

from loader.delivery.doubts import Rung
from loader.delivery.stamp import LENGTH_MIN
from loader.errors import UsageError
from loader.events import Observer, Warned
from loader.preflight import Preflight
from loader.schema.fields import Field, JsonType
from loader.settings import LoadSettings

_WHERE_NAMES_ARE = "Setup > Developer Hub > APIs and SDKs > API Names lists them."


def rung_of(settings: LoadSettings, facts: Preflight, observe: Observer) -> Rung:
    """The surest rung that the load has; what that means for a lost answer is told where it is not obvious.

    Raises:
        UsageError: the module has no such field, or it cannot hold a stamp.
    """
    if settings.stamp:
        _require_stampable(_field(settings, facts, settings.stamp, flag="--stamp"), settings, facts)
        return Rung.SEND_AGAIN
    if not settings.key:
        return Rung.HOLD
    field = _field(settings, facts, settings.key, flag="--key")
    if not facts.user_id:
        observe(
            Warned(
                "the credentials do not say whose they are (scope ZohoCRM.users.READ): a record in doubt"
                " that turns out to be in the CRM will be held for a person"
            )
        )
    if settings.key_unique or (facts.metadata_read and (field.unique or field.external)):
        return Rung.SEND_AGAIN
    observe(
        Warned(
            f"{settings.key} is not known to be unique in the CRM: a record whose answer is lost will be"
            " asked for, twice, and sent again if it is not there; if it is unique, say --key-unique"
        )
    )
    return Rung.ASK


def require_layout(settings: LoadSettings, facts: Preflight) -> None:
    """Refuse a layout that the module has not, where its layouts are known: each record would be refused.

    Raises:
        UsageError: it has others.
    """
    layouts = facts.module.layouts
    if not settings.layout_id or not layouts or settings.layout_id in {one.id for one in layouts}:
        return
    known = ", ".join(f"{one.id} {one.name}".rstrip() for one in layouts[:10])
    raise UsageError(
        f"module {settings.target.module} has no layout {settings.layout_id}",
        why=f"it has {known}{' ...' if len(layouts) > 10 else ''}",
        hint="Give --layout-id one of these.",
    )


def _field(settings: LoadSettings, facts: Preflight, name: str, *, flag: str) -> Field:
    field = facts.module.field(name)
    if field is None:
        raise UsageError(
            f"module {settings.target.module} has no field {name!r}",
            why=f"{flag} takes the API name of a field",
            hint=_WHERE_NAMES_ARE,
        )
    return field


def _require_stampable(field: Field, settings: LoadSettings, facts: Preflight) -> None:
    """A stamp that the CRM cuts short, ignores, or lets in twice would settle nothing."""
    why = ""
    if not (settings.key_unique or (facts.metadata_read and (field.unique or field.external))):
        why = "the field metadata does not call it unique"
    elif field.json_type is not JsonType.STRING or not field.creatable:
        why = "it is not a text field that an insert may set"
    elif field.length is not None and field.length < LENGTH_MIN:
        why = f"it holds {field.length} characters; a stamp may take {LENGTH_MIN}"
    if why:
        raise UsageError(
            f"{field.api_name} cannot hold a stamp",
            why=why,
            hint="--stamp takes a custom text field that is set to 'Do not allow duplicate values'.",
        )
