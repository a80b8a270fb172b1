"""What the API says of the organisation: its modules, their fields and layouts, its users and itself."""

from __future__ import annotations

from loader.sandbox import answers
from loader.sandbox.answers import Answer
from loader.sandbox.calls import Exchange, Parts

CURRENT_USER = "CurrentUser"


class Settings:
    """The settings of one organisation."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def fields(self, exchange: Exchange) -> Answer:
        """Answers `GET settings/fields?module=...`; rows of subforms are modules too."""
        name = exchange.request.query.get("module")
        if not name:
            return answers.parameter_missing("module")
        body = self._parts.served.fields_body(name)
        return answers.UNKNOWN_MODULE if body is None else Answer(200, body)

    def layouts(self, exchange: Exchange) -> Answer:
        """Answers `GET settings/layouts?module=...`."""
        name = exchange.request.query.get("module")
        if not name:
            return answers.parameter_missing("module")
        served = self._parts.served.get(name)
        return answers.UNKNOWN_MODULE if served is None else Answer(200, served.layouts_body)

    def modules(self, _: Exchange) -> Answer:
        """Answers `GET settings/modules`."""
        facts = self._parts.served.facts()
        return answers.listing("modules", [answers.module_item(each) for each in facts])

    def users(self, exchange: Exchange) -> Answer:
        """Answers `GET users`: all of them, or the one whose call it is."""
        found = self._parts.users
        if exchange.request.query.get("type") == CURRENT_USER:
            found = (exchange.caller,)
        info = {"per_page": 200, "count": len(found), "page": 1, "more_records": False}
        return answers.listing("users", [answers.user_item(each) for each in found], info)

    def org(self, _: Exchange) -> Answer:
        """Answers `GET org`."""
        return answers.listing("org", [answers.org_item(self._parts.org, self._parts.users[0])])
