"""What the sandbox says of its fields and picklists, and what it is told of them; whose its database is."""

from pathlib import Path
from typing import Any

import pytest

from loader.errors import ExitCode, UsageError
from loader.sandbox.app import SandboxSettings, running
from loader.sandbox.switches import Switch
from tests.scenario.sandbox_client import Client, client_of, lead

pytestmark = pytest.mark.timeout(30)


async def fields_of(client: Client, module: str) -> dict[str, Any]:
    rows = (await client.get(f"settings/fields?module={module}")).json["fields"]
    return {each["api_name"]: each for each in rows}


async def test_fields_have_ids_layouts_and_profiles(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        fields = await fields_of(client, "Leads")
        (layout,) = (await client.get("settings/layouts?module=Leads")).json["layouts"]
        of_layout = {each["api_name"]: each for section in layout["sections"] for each in section["fields"]}
        email = fields["Email"]
        assert email["layout_associations"] == [
            {"api_name": "Standard__s", "name": "Standard", "id": layout["id"]}
        ]
        assert [each["permission_type"] for each in email["profiles"]] == ["read_write"]
        assert [each["permission_type"] for each in fields["Full_Name"]["profiles"]] == ["read_only"]
        assert fields["Full_Name"]["layout_associations"] == []
        assert (email["filterable"], fields["Description"]["filterable"]) == (True, False)
        assert fields["Annual_Revenue"]["currency"] == {"precision": 2}
        assert (email["textarea"], fields["Description"]["textarea"]) == (None, {"type": "large"})
        assert email["id"] == of_layout["Email"]["id"]
        others = [await fields_of(client, module) for module in ("Contacts", "Quoted_Items")]
        ids = [each["id"] for named in (fields, *others) for each in named.values()]
        assert len(set(ids)) == len(ids)
        assert all(each.isdigit() and len(each) == 19 for each in ids)


async def test_a_picklist_shows_what_a_new_organisation_has(tmp_path: Path) -> None:
    async with client_of(tmp_path, switches=frozenset({Switch.STRICT_PICKLISTS})) as client:
        fields = await fields_of(client, "Leads")
        shown = [each["display_value"] for each in fields["Lead_Status"]["pick_list_values"]]
        assert shown[:3] == ["-None-", "Attempted to Contact", "Contact in Future"]
        reply = await client.insert(
            lead(Lead_Source="zz"),
            lead(Lead_Source="Cold Call", Lead_Status="Contacted"),
            lead(Lead_Source="Online Store"),
            lead(Lead_Source="OnlineStore"),
        )
        assert reply.codes == ["INVALID_DATA", "SUCCESS", "INVALID_DATA", "SUCCESS"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"unique": ("Leads",)}, "it names the module Leads and no field of it"),
        ({"external": ("Leads",)}, "it names the module Leads and no field of it"),
        ({"unique": ("Leads.Emial",)}, "Leads has no field 'Emial'; the nearest are Email,"),
        ({"unique": ("Laeds.Email",)}, "there is no module 'Laeds' here; the modules are Leads, Accounts"),
    ],
)
async def test_a_field_that_is_not_there_is_told_from_a_module(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as raised:
        async with running(SandboxSettings(**settings)):
            pass
    assert words in raised.value.why


async def test_a_second_sandbox_on_the_same_database_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        other = tmp_path / "link.db"
        other.symlink_to(client.database)
        for path in (client.database, other):
            with pytest.raises(UsageError, match="another sandbox holds") as raised:
                async with running(SandboxSettings(db=path)):
                    pass
            assert raised.value.exit_code is ExitCode.USAGE
        assert (await client.insert(lead())).status == 201
    async with client_of(tmp_path) as client:
        assert client.count("records") == 1
