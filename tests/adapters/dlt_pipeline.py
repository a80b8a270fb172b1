"""A pipeline of dlt's into the sandbox, as a program of its own: `dlt_pipeline.py DIRECTORY [COUNT]`.

It runs under an interpreter that has dlt, and imports nothing of the tests. Without COUNT it goes on with
what an earlier run left. Credentials and the address come as dlt has them: from variables of its own.
"""

from __future__ import annotations

import datetime
import decimal
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import dlt

from loader.adapters.dlt_destination import reports, zoho_crm


def people(count: int) -> Iterator[dict[str, object]]:
    """That many whom the CRM takes, and one whom it refuses."""
    for number in range(count):
        yield {
            "Last_Name": f"Person {number}",
            "Email": f"person.{number}@example.com",
            "Annual_Revenue": decimal.Decimal("1250.50"),
            "Next_Call__s": datetime.datetime(2027, 3, 1, 9, tzinfo=datetime.UTC),
            "Tag": [{"name": "migrated"}],
        }
    yield {"Email": "nobody@example.com"}


def main() -> None:
    directory = Path(sys.argv[1])
    loads = directory / "loads"
    pipeline = dlt.pipeline(
        "crm",
        pipelines_dir=str(directory / "pipelines"),
        destination=zoho_crm(
            load_dirs=str(loads), modules={"people": "Leads"}, key_fields={"people": "Email"}
        ),
    )
    data = dlt.resource(people(int(sys.argv[2])), name="people") if len(sys.argv) > 2 else None
    info = pipeline.run(data)
    assert info is not None
    for each in reports(loads, info.loads_ids):
        found = each.report.outcomes
        print(json.dumps([each.table, each.report.exit_code, found.inserted, found.invalid]))


if __name__ == "__main__":
    main()
