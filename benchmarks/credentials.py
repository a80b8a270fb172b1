"""What the sink takes for credentials: anything. And where loads share their state: away from the user's."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from typing import Final

_state: Final = tempfile.mkdtemp(prefix="loader-benchmark-")
atexit.register(shutil.rmtree, _state, ignore_errors=True)

# An access token alone, dots in it as in a real one: an answer is looked through for what it holds seldom.
# Alone: with a refresh token the loads of ten minutes would share ten grants.
BENCHMARK: Final = {"LOADER_ACCESS_TOKEN": "1000.benchmark", "LOADER_STATE_DIR": _state}
