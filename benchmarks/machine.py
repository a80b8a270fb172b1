"""Where the figures come from: processor, kernel, versions, and how busy the machine was before."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

LIBRARIES = ("aiohttp", "anyio", "aiolimiter", "msgspec", "orjson", "yarl", "multidict", "uvloop")
PROGRAMS = {
    "syslog-ng": ("syslog-ng", "--version"),
    "wrk": ("wrk", "-v"),
    "valgrind": ("valgrind", "--version"),
}


def described() -> dict[str, str]:
    """This machine, by headings for people."""
    memory = re.search(r"MemTotal:\s+(\d+) kB", _text("/proc/meminfo"))
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{int(memory[1]) / 2**20:.0f} GiB" if memory else "unknown",
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libraries": ", ".join(f"{name} {_version(name)}" for name in LIBRARIES),
        "programs": ", ".join(f"{name} {_program(command)}" for name, command in PROGRAMS.items()),
        "load average before": f"{os.getloadavg()[0]:.1f}",
    }


def _processor() -> str:
    name = re.search(r"model name\s*:\s*(.+)", _text("/proc/cpuinfo"))
    return name[1] if name else platform.machine()


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"


def _program(command: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "absent"
    number = re.search(r"\d+\.\d+(\.\d+)?", done.stdout + done.stderr)
    return number[0] if number else "present"
