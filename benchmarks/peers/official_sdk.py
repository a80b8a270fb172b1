"""A peer: the vendor's own Python SDK, as its samples use it. `official_sdk.py URL FILE DIRECTORY`

One call at a time. It reads the module's field metadata first and converts each value by it. No log, no
retry; it counts what succeeded and forgets which records did not. The directory is for the SDK's tokens and
its copy of the metadata.
"""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path
from typing import Any

from zohocrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken
from zohocrmsdk.src.com.zoho.api.authenticator.store import FileStore
from zohocrmsdk.src.com.zoho.crm.api import HeaderMap, Initializer
from zohocrmsdk.src.com.zoho.crm.api.dc import DataCenter
from zohocrmsdk.src.com.zoho.crm.api.record import BodyWrapper, Record, RecordOperations
from zohocrmsdk.src.com.zoho.crm.api.util import Choice

PICKLISTS = {"Lead_Source"}
"""The SDK wants their values in a class of its own."""


def record_of(line: str) -> Any:
    """A line as the SDK wants it."""
    record = Record()
    for name, value in json.loads(line).items():
        record.add_key_value(name, Choice(value) if name in PICKLISTS else value)
    return record


def main(url: str, path: Path, directory: Path) -> None:
    """Insert the whole file, 100 records a call."""
    directory.mkdir(parents=True, exist_ok=True)
    Initializer.initialize(
        environment=DataCenter.Environment(url, f"{url}/oauth/v2/token", url),
        token=OAuthToken(client_id="benchmark", client_secret="benchmark", refresh_token="benchmark"),
        store=FileStore(str(directory / "tokens.csv")),
        resource_path=str(directory),
    )
    inserted = 0
    with path.open() as file:
        while lines := list(islice(file, 100)):
            body = BodyWrapper()
            body.set_data([record_of(line) for line in lines])
            answer = RecordOperations("Leads").create_records(body, HeaderMap())
            inserted += sum(
                item.get_code().get_value() == "SUCCESS" for item in answer.get_object().get_data()
            )
    print(inserted)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
