"""What the sink takes for credentials: anything."""

from __future__ import annotations

from typing import Final

BENCHMARK: Final = {f"LOADER_{name}": "benchmark" for name in ("CLIENT_ID", "CLIENT_SECRET", "REFRESH_TOKEN")}
