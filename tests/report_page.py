"""Reads a report as a program would: its figures, its tags, and what it must not hold."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

_VOID = frozenset({"meta", "br"})
_FOREIGN_TO_A_PAGE = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)


class ReadPage(HTMLParser):
    """A page's tags and figures; `faults` is what is wrong with its markup."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.figures: dict[str, str] = {}
        self.series: dict[str, list[float]] = {}
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.faults: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        if self._open:
            self.faults.append(f"never closed: {self._open}")
        if found := _FOREIGN_TO_A_PAGE.search(page):
            self.faults.append(f"holds {found[0]!r}")
        if len(set(self.ids)) < len(self.ids):
            self.faults.append("an id is there twice")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        if tag not in _VOID:
            self._open.append(tag)
        if "data-figure" in given:
            if given["data-figure"] in self.figures:
                self.faults.append(f"{given['data-figure']} is there twice")
            self.figures[given["data-figure"]] = given["data-value"]
        if "data-series" in given:
            self.series[given["data-series"]] = [float(one) for one in given["data-values"].split(",")]
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a":
            self.links.append(given["href"])
        for name, value in given.items():
            if name.startswith("on") or name in ("src", "style", "srcset", "xlink:href"):
                self.faults.append(f"{tag} has {name}={value}")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1] != tag:
            self.faults.append(f"</{tag}> closes {self._open[-3:]}")
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.text += data


def figures_of(summary: dict[str, Any], *, kinds_shown: int) -> dict[str, str]:
    """What a report has to say of a `summary.json`, by the names that it gives its figures."""
    expected = {name: _told(value) for name, value in summary.items() if name not in ("outcomes", "errors")}
    expected |= {f"outcomes.{name}": _told(count) for name, count in summary["outcomes"].items()}
    return expected | {
        f"errors.{number}.count": _told(one["count"])
        for number, one in enumerate(summary["errors"][:kinds_shown])
    }


def _told(value: object) -> str:
    if isinstance(value, list | tuple):
        return str(len(value))
    return str(value).lower() if isinstance(value, bool) else str(value)
