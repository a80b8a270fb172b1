"""Documented limits of the API as named constants, each with its source. Facts only."""

from __future__ import annotations

from typing import Final

RECORDS_PER_CALL_MAX: Final = 100
"""Records in one insert (insert-records page: "A maximum of 100 records can be inserted per API call")."""

BODY_BYTES_MAX: Final = 4 * 1024 * 1024
"""Bytes of records in one insert: our choice, for no page documents a maximum. 100 records of 40 kB each fit,
so a Leads record may fill its 32,000-character description; and what 20 such batches hold in memory (10 in
flight, 10 of the next window) is at most 80 MiB. A smaller batch costs no more: credits count records."""

LARGE_CALL_RECORDS: Final = 10
"""An insert of more records than this counts as a large call (limits page: "more than 10 records")."""

LARGE_CALLS_IN_FLIGHT_MAX: Final = 10
"""Large calls in flight at once, on every edition, shared with COQL and search (limits page:
sub-concurrency)."""

CREDIT_RECORDS: Final = 10
"""Records that one credit inserts (limits page: "1 credit per 10 records")."""

CREDITS_WINDOW_S: Final = 24 * 3600
"""A spent credit comes back this long after it was spent (limits page: a rolling window)."""

COQL_IN_VALUES_MAX: Final = 50
"""Values in one `in (...)` (COQL limitations page)."""

COQL_ROWS_AT_ONE_CREDIT: Final = 200
"""Rows that a query may ask for at the price of one credit (limits page)."""

IDS_PER_GET_MAX: Final = 100
"""Ids in one `GET ?ids=` (get-records page)."""

FIELDS_PER_GET_MAX: Final = 50
"""Fields that one read may name (get-records page)."""

ID_DIGITS_MAX: Final = 19
"""Digits of a record's id (sample answers of the insert-records page): text, for it outgrows a double."""

TOKENS_MAX: Final = 10
"""Access tokens that one refresh token may obtain in `TOKENS_WINDOW_S`; more are refused (OAuth page)."""

TOKENS_WINDOW_S: Final = 600

TOKEN_LIFE_S: Final = 3600
"""How long an access token lives (OAuth page); the answer's `expires_in` is what counts."""


def credits_for(records: int) -> int:
    """Credits that an insert of so many records costs; a begun ten is presumed to count as a whole one."""
    return -(-records // CREDIT_RECORDS)
