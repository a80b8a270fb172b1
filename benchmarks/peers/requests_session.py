"""A peer: the script with `requests` that everybody writes first. `requests_session.py URL FILE`

One call at a time, on one kept connection. No check, no log, no retry; it counts what succeeded and forgets
which records did not.
"""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path

import requests


def main(url: str, path: Path) -> None:
    """Post the whole file, 100 records a call."""
    inserted = 0
    with path.open() as file, requests.Session() as session:
        while lines := list(islice(file, 100)):
            answer = session.post(f"{url}/crm/v8/Leads", json={"data": [json.loads(line) for line in lines]})
            answer.raise_for_status()
            inserted += sum(item["code"] == "SUCCESS" for item in answer.json()["data"])
    print(inserted)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
