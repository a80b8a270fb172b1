"""What of the API the sandbox does not serve, by name: a call of it is told so, in the sandbox's own words.

Facts, and the finding of them; what the API does not have either is answered as the API answers it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from loader.sandbox.answers import Answer, not_served

_ON_A_MODULE: Final = {
    "search": ("the search of records", "POST coql"),
    "upsert": ("the upsert of records", "POST {module}"),
    "deleted": ("the list of deleted records", ""),
    "actions": ("actions on records", ""),
    "bulk": ("bulk reads and writes", "POST {module}"),
}
"""`{module}/WORD`, and what to call in its place."""
UNSERVED_WORDS: Final = frozenset(_ON_A_MODULE)
"""They stand where an id may stand."""
_METHODS: Final = {
    "PUT": "the update of records",
    "DELETE": "the deletion of records",
}
_OTHERS: Final = {
    "files": "the files API",
    "upload": "the upload of files",
    "bulk": "bulk reads and writes",
    "__composite_requests": "composite requests",
    "composite_requests": "composite requests",
}
UNSERVED_ALONE: Final = frozenset(_OTHERS)
"""They stand where a module may stand."""


def unserved_path(path: Sequence[str]) -> Answer | None:
    """The answer to a call of a path below `/crm/v8` that the API has and the sandbox has not."""
    match path:
        case ["settings", part, *_]:
            return not_served(
                f"settings/{part}", status=404, instead="GET settings/fields, layouts or modules"
            )
        case [first, *_] if first in _OTHERS:
            return not_served(_OTHERS[first], status=404)
        case [_, word, *_] if word in _ON_A_MODULE:
            what, instead = _ON_A_MODULE[word]
            return not_served(what, status=404, instead=instead)
        case [_, number, part, *_] if number.isdigit():
            return not_served(f"{part} of a record", status=404)
    return None


def unserved_method(method: str, path: Sequence[str]) -> Answer | None:
    """The answer to a method that the API has for records and the sandbox has not."""
    if method not in _METHODS:
        return None
    match path:
        case [_]:
            return not_served(_METHODS[method], status=405, allow="GET, POST")
        case [_, number] if number.isdigit():
            return not_served(_METHODS[method], status=405, allow="GET")
    return None
