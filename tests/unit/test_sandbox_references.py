"""The records and users that a record refers to, wherever they stand in it."""

from typing import Any

from loader.sandbox.references import USERS, modules_referred_to, references
from loader.schema.fields import Field, FieldType, JsonType


def field(
    name: str, type_: FieldType, module: str = "", link: str = "", rows: tuple[Field, ...] = ()
) -> Field:
    return Field(name, type_, type_.json_type, module=module, link=link, subfields=rows)


FIELDS = (
    field("Account_Name", FieldType.LOOKUP, "Accounts"),
    field("What_Id", FieldType.LOOKUP),
    field("Owner", FieldType.OWNERLOOKUP),
    field("Listings", FieldType.MULTISELECTLOOKUP, "Listings", "Interested_Listings"),
    field("Partners", FieldType.MULTISELECTLOOKUP, "Accounts"),
    field("Multi_user", FieldType.MULTIUSERLOOKUP, link="Multi_user"),
    field("Items", FieldType.SUBFORM, rows=(field("Product_Name", FieldType.LOOKUP, "Products"),)),
    Field("Subject", FieldType.TEXT, JsonType.STRING),
)


def found(**members: Any) -> list[tuple[str, str, str | None]]:
    members["$se_module"] = members.pop("se_module", None)
    return [(each.path, each.module, each.id) for each in references(FIELDS, members)]


def test_lookups_of_every_kind_are_found() -> None:
    assert found(
        Account_Name={"id": "1"},
        What_Id={"id": "2"},
        se_module="Deals",
        Owner={"id": "3"},
        Listings=[{"Interested_Listings": {"id": "4"}}, {"Other": {"id": "5"}}],
        Partners=[{"Any": {"id": "6"}, "note": 7}],
        Multi_user=[{"Multi_user": {"id": "8"}}],
        Items=[{"Product_Name": {"id": "9"}}, {"Product_Name": {"name": "x"}}],
        Subject={"id": "10"},
    ) == [
        ("Account_Name", "Accounts", "1"),
        ("What_Id", "Deals", "2"),
        ("Owner", USERS, "3"),
        ("Listings[0].Interested_Listings", "Listings", "4"),
        ("Partners[0].Any", "Accounts", "6"),
        ("Multi_user[0].Multi_user", USERS, "8"),
        ("Items[0].Product_Name", "Products", "9"),
        ("Items[1].Product_Name", "Products", None),
    ]


def test_values_that_are_no_lookups_are_stepped_over() -> None:
    assert found(Account_Name="ABC", What_Id=None, Listings=["4", {}], Items=[7], Multi_user={}) == []


def test_a_number_is_an_id_and_true_is_none() -> None:
    assert found(Account_Name={"id": 7}) == [("Account_Name", "Accounts", "7")]
    assert found(Account_Name={"id": True}) == [("Account_Name", "Accounts", None)]


def test_the_modules_that_a_module_may_refer_to() -> None:
    assert list(modules_referred_to(FIELDS)) == ["Accounts", "", "Listings", "Accounts", "Products"]
