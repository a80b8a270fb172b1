"""The report: its figures are the summary's, nothing foreign gets out of its place, and it stays small."""

from __future__ import annotations

import json
import re

import pytest
from msgspec.structs import replace

from loader.checkpoint.entries import (
    BatchEntry,
    Doubt,
    Head,
    InputIdentity,
    InvalidEntry,
    NotApplied,
    Open,
    OtherOutcome,
    Outcomes,
    Seal,
    Sent,
    WindowEntry,
    outcomes_of,
)
from loader.errors import ExitCode
from loader.outcomes import ErrorCount, Settlement
from loader.report import chart
from loader.report.chronicle import Chronicle
from loader.report.html import BYTES_MAX, Link, Page, render
from loader.report.markup import plain_time
from loader.report.refusals import KINDS_SHOWN
from loader.report.retried import Retried
from loader.report.summary import Outcomes as Counts
from loader.report.summary import Summary, to_json
from loader.report.verdict import Tone, verdict
from tests.report_page import ReadPage, figures_of

T = 1_700_000_000.0
HOSTILE = (
    "</td><script>alert(1)</script>\"'><img src=x onerror=alert(2)>&lt;\x1b]0;owned\x07\u202egnp.\x00\x9b2J\n"
)
INPUT = InputIdentity("file", "leads.ndjson", 4000, 1_700_000_000_000_000_000, 7, 8)


def summary(**changed: object) -> Summary:
    told = {
        "load_id": "01JD-7QK2",
        "module": "Leads",
        "input": "leads.ndjson",
        "records": 0,
        "outcomes": Counts(),
        "complete": True,
        **changed,
    }
    counts = told["outcomes"]
    assert isinstance(counts, Counts)
    return Summary(**{**told, "records": counts.records, "lines": counts.records})  # type: ignore[arg-type]


def small_load(words: str = "plain", *, kinds: int = 1) -> Chronicle:
    """A load of two runs with everything in it; `words` is what others said."""
    chronicle = Chronicle()
    batch = BatchEntry(
        1, 1, 3, 0, 30, 1, ((1, 3),), (), (InvalidEntry(3, 20, "NOT_JSON" + words, words, words),)
    )
    others = (
        OtherOutcome(1, 2, words, "DUPLICATE_DATA" + words, words, words),
        *(OtherOutcome(2, 3, "", f"{kind}{words}", words, words) for kind in range(kinds)),
    )
    for entry in (
        Head(
            1, "01JD-7QK2", T, "Leads", "https://crm.example" + words, words, "", None, None, True, {}, INPUT
        ),
        Open("boot", "host" + words, 1, T, INPUT),
        WindowEntry((batch,)),
        Sent(1, 1, ((1, 3),), T + 0.5),
        NotApplied(1, 1, ((1, 3),), "HTTP 429 " + words, T + 0.6),
        Sent(1, 2, ((1, 3),), T + 9.0),
        Open("boot", "host" + words, 2, T + 5000, INPUT),
        Sent(1, 3, ((1, 3),), T + 5001, True),
        Doubt(1, 3, ((1, 3),), words, False, T + 5002),
        Sent(1, 4, ((1, 3),), T + 5003, True),
        Outcomes(1, 4, (), others=others, at=T + 5004),
        Seal({}, 3, 30, 0xABC, T + 5004),
    ):
        chronicle.apply(entry)
    return chronicle


def page(given: Summary, chronicle: Chronicle | None = None, **more: object) -> str:
    told: dict[str, object] = {
        "verdict": verdict(given, load_dir="leads.load", to_go_on="loader resume leads.load"),
        "load_dir": "leads.load",
        **more,
    }
    return render(Page(summary=given, chronicle=chronicle or Chronicle(), **told))  # type: ignore[arg-type]


FULL = summary(
    outcomes=Counts(inserted=9_994_120, duplicate=4_511, rejected=1_084, invalid=285, in_doubt=7, pending=0),
    errors=(ErrorCount("INVALID_DATA", "Email", 1084), ErrorCount("MANDATORY_NOT_FOUND", "Last_Name", 285)),
    calls=100_001,
    retries=16,
    recovered=12,
    credits=1_000_010,
    refreshes=4,
    resumes=2,
    seconds=11_464.123,
    records_per_second=872.3,
    complete=False,
    exit_code=4,
    blank_lines=0,
    absent=3,
    ignored_fields=("Zodiac", "Colour"),
)


@pytest.mark.parametrize(
    "given", [FULL, summary(), summary(outcomes=Counts(inserted=1))], ids=["full", "none", "one"]
)
def test_each_figure_of_the_summary_is_in_the_report(given: Summary) -> None:
    read = ReadPage(page(given, small_load()))
    found = {name: value for name, value in read.figures.items() if not name.startswith("latency")}
    assert found == figures_of(json.loads(to_json(given)), kinds_shown=KINDS_SHOWN)
    assert read.faults == []


def test_the_series_add_up_to_what_the_load_settled() -> None:
    chronicle = small_load()
    read = ReadPage(page(FULL, chronicle))
    assert sum(read.series["rate"]) == 3
    assert sum(read.series["flight"]) == pytest.approx(0.1 + 1.0 + 1.0)
    assert "resume 1" in read.text
    assert "nothing in flight for 8.40 s, after a 429" in read.text
    assert "1 call pushed back (429), 1 call without a clear answer" in read.text


def test_nothing_that_a_record_or_a_server_says_gets_out_of_its_place() -> None:
    given = summary(
        module=HOSTILE,
        input="d/" + HOSTILE,
        load_id=HOSTILE,
        outcomes=Counts(rejected=1, duplicate=1, invalid=1),
        errors=(ErrorCount("0" + HOSTILE, HOSTILE, 1), ErrorCount("NOT_JSON" + HOSTILE, HOSTILE, 1)),
        exit_code=3,
        ignored_fields=(HOSTILE,),
    )
    shown = page(
        given,
        small_load(HOSTILE),
        verdict=verdict(given, load_dir=HOSTILE, to_go_on=HOSTILE),
        load_dir=HOSTILE,
        settings=[(HOSTILE, HOSTILE)],
        links=[Link(HOSTILE, "words")],
        stopped_by=(HOSTILE, HOSTILE, HOSTILE),
    )
    read = ReadPage(shown)
    assert read.faults == []
    assert not {"script", "img", "link", "iframe", "object", "form"} & set(read.tags)
    assert read.text.count("<script>alert(1)</script>") > 10
    assert "\\x1b]0;owned\\x07\\u202egnp." in read.text
    assert all(link.startswith("%3C") for link in read.links)


@pytest.mark.parametrize("letter", ['"', "\x00", "\U0001f600"], ids=["quote", "control", "emoji"])
def test_no_load_makes_a_large_report(letter: str) -> None:
    words = letter * 5000
    chronicle = small_load(words, kinds=300)
    for number in range(500):
        chronicle.apply(Open("boot", words, 1, T + 6000 + number, INPUT))
        for _ in range(3):
            chronicle.apply(
                Outcomes(
                    1, 4, (), others=(OtherOutcome(2, 2, words, "DUPLICATE_DATA", words, f"{number}{words}"),)
                )
            )
    given = summary(
        module=words,
        input=words,
        outcomes=Counts(rejected=900),
        errors=tuple(ErrorCount(f"{kind}{words}", words, 3) for kind in range(300)),
    )
    shown = page(
        given,
        chronicle,
        load_dir=words,
        verdict=verdict(given, load_dir=words, to_go_on=words),
        settings=[("--key", words)] * 12,
        links=[Link("rejected.ndjson", "w")],
        stopped_by=(words, words, words),
    )
    assert len(shown.encode()) <= BYTES_MAX
    assert "260 more kinds" in shown
    assert ReadPage(shown).faults == []


def test_a_path_that_is_no_text_leads_to_the_same_file() -> None:
    read = ReadPage(page(FULL, small_load(), load_dir="l\udcff", links=[Link("l\udcff/x.ndjson", "words")]))
    assert read.links == ["l%FF/x.ndjson"]


@pytest.mark.parametrize("seconds", [10**12, -(10**12), 10**18])
def test_a_time_that_no_calendar_has_is_shown_as_seconds(seconds: int) -> None:
    chronicle = small_load()
    chronicle.apply(Open("boot", "host", 3, T, replace(INPUT, mtime_ns=seconds * 10**9)))
    read = ReadPage(page(FULL, chronicle))
    assert f"{seconds} s after 1970" in read.text
    assert plain_time(float(seconds)) == f"{seconds} s after 1970"


def test_a_report_needs_nothing_from_anywhere_and_is_the_same_each_time() -> None:
    first, second = page(FULL, small_load()), page(FULL, small_load())
    assert first == second
    assert "default-src 'none'; style-src 'sha256-" in first
    without_policy = first.replace("https://crm.example", "")
    assert "http" not in without_policy.replace("http-equiv", "")
    assert "url(" not in without_policy.replace("url(#p-", "")


def test_headings_tables_and_figures_say_what_they_are() -> None:
    read = ReadPage(page(FULL, small_load()))
    assert read.tags.count("h1") == read.tags.count("main") == 1
    assert read.tags.count("table") == read.tags.count("caption")
    assert read.tags.count("figure") == read.tags.count("figcaption") == 2
    assert read.tags.count("section") == read.tags.count("h2")
    labelled = [one for one in read.ids if one.endswith("-title")]
    assert labelled == ["bar-title", "rate-title", "flight-title"]


VERDICTS = {
    "nothing": (summary(), Tone.GOOD, "The input held no record; nothing was sent."),
    "all": (
        summary(outcomes=Counts(inserted=10)),
        Tone.GOOD,
        "All 10 records are in Leads; there is nothing left to do.",
    ),
    "one": (
        summary(outcomes=Counts(inserted=1)),
        Tone.GOOD,
        "The one record is in Leads; there is nothing left to do.",
    ),
    "refused": (
        summary(outcomes=Counts(inserted=8, duplicate=1, rejected=1), exit_code=3),
        Tone.LOOK,
        "9 of 10 records are in Leads (1 was there already), and 1 was refused and is not there;"
        " mend rejected.ndjson, then load what it holds:",
    ),
    "duplicates": (
        summary(outcomes=Counts(inserted=8, duplicate=2), exit_code=3),
        Tone.LOOK,
        "All 10 records are in Leads, 2 of them were there already; if that was expected, there is nothing"
        " left to do. To see which:",
    ),
    "duplicates are fine": (
        summary(outcomes=Counts(inserted=8, duplicate=2)),
        Tone.GOOD,
        "All 10 records are in Leads; there is nothing left to do.",
    ),
    "in doubt": (
        summary(outcomes=Counts(inserted=9, in_doubt=1), exit_code=4, complete=False),
        Tone.LOOK,
        "9 records settled (9 inserted), but of 1 record nobody can tell yet whether the CRM has it; look it"
        " up in in-doubt.ndjson, or ask the CRM once more:",
    ),
    "told to stop": (
        summary(outcomes=Counts(inserted=8, in_doubt=1, pending=1), exit_code=143, complete=False),
        Tone.STOPPED,
        "The load stopped before its end because it was told to stop: 8 records settled (8 inserted), 1 in"
        " doubt, and the rest of the input is not in the CRM yet; to go on from there, without inserting any"
        " record twice:",
    ),
    "killed": (
        summary(outcomes=Counts(pending=10), exit_code=3, complete=False),
        Tone.STOPPED,
        "The load stopped before its end: 0 records settled, and the rest of the input is not in the CRM yet;"
        " to go on from there, without inserting any record twice:",
    ),
}


@pytest.mark.parametrize(("given", "tone", "sentence"), VERDICTS.values(), ids=VERDICTS)
def test_the_verdict_says_what_is_certain_and_what_to_do(given: Summary, tone: Tone, sentence: str) -> None:
    found = verdict(given, load_dir="d", to_go_on="loader resume d")
    assert (found.tone, f"{found.certain} {found.next}") == (tone, sentence)
    shown = ReadPage(page(given))
    assert sentence in shown.text
    assert tone.value in shown.text


REFUSED = summary(outcomes=Counts(inserted=9, rejected=1), exit_code=3)
LATER = Retried("d/retry-1", again="d")
RETRIED = {
    "all in": (
        replace(LATER, finished=True, in_the_crm=1),
        Tone.GOOD,
        "1 record is in the CRM now, none is left to retry; there is nothing left to do.",
        "",
    ),
    "refused again": (
        replace(LATER, finished=True, refused=1),
        Tone.LOOK,
        "0 records are in the CRM now, 1 refused again; fix d/retry-1/rejected.ndjson, then:",
        "loader retry d",
    ),
    "stopped": (
        replace(LATER, pending=1, in_doubt=1),
        Tone.LOOK,
        "0 records are in the CRM now, 1 record in doubt; to go on with it:",
        "loader retry d",
    ),
    "in doubt": (
        replace(LATER, in_doubt=1),
        Tone.LOOK,
        "0 records are in the CRM now, 1 record in doubt; to settle them:",
        "loader resolve d/retry-1",
    ),
}


@pytest.mark.parametrize(("later", "tone", "sentence", "typed"), RETRIED.values(), ids=RETRIED)
def test_the_verdict_on_a_load_that_was_retried_is_about_what_is_left(
    later: Retried, tone: Tone, sentence: str, typed: str
) -> None:
    found = verdict(REFUSED, load_dir="d", to_go_on="", retried=later)
    said = f"9 of 10 records are in Leads by this load, 1 was refused and retried in d/retry-1: {sentence}"
    assert (found.tone, f"{found.certain} {found.next}", found.command) == (tone, said, typed)


def test_a_page_has_one_mean_pace_and_peaks_above_it_however_short_a_load_was() -> None:
    for took_s in (0.004, 0.05, 0.1251, 0.3, 1.0):
        chronicle = Chronicle()
        batch = BatchEntry(1, 1, 100, 0, 30, 1, ((1, 101),), (), ())
        for entry in (
            Head(1, "X", T, "Leads", "https://crm.example", "", "", None, None, True, {}, INPUT),
            Open("boot", "host", 1, T, INPUT),
            WindowEntry((batch,)),
            Sent(1, 1, ((1, 101),), T + took_s / 2),
            outcomes_of(1, 1, Settlement(range(1, 101), [str(one) for one in range(1, 101)]), at=T + took_s),
        ):
            chronicle.apply(entry)
        text = ReadPage(page(summary(outcomes=Counts(inserted=100)), chronicle)).text
        assert text.count("in the mean") == 1, "records a second, of the time that stands beside it"
        (most,) = set(re.findall(r"Records settled a second:? ([\d,.]+) rec/s at most", text))
        # What is shown is rounded to two digits.
        assert float(most.replace(",", "")) >= 100 / took_s * 0.95, (took_s, most)
        assert set(re.findall(r"Calls in flight:? (\S+) at most", text)) == {"1"}


@pytest.mark.parametrize("code", [one for one in ExitCode if one not in (ExitCode.OK, ExitCode.LOCKED)])
def test_each_exit_code_of_a_load_that_stopped_has_a_verdict(code: ExitCode) -> None:
    stopped = summary(outcomes=Counts(inserted=1, pending=2), complete=False, exit_code=int(code))
    assert verdict(stopped, load_dir="d", to_go_on="go").command == "go"


@pytest.mark.parametrize(
    ("most", "top"),
    [(0, 1), (1, 1), (1.2, 1.5), (9, 10), (10, 10), (872, 1000), (5_680, 6000), (25_001, 30_000)],
)
def test_a_scale_is_a_round_number_above_all(most: float, top: float) -> None:
    assert chart.scale_of([0.0, most]) == top


def test_small_parts_of_a_bar_can_be_seen() -> None:
    drawn = chart.bar(
        [chart.Part("inserted", "a", 0.999999), chart.Part("rejected", "b", 0.000001)], title="t"
    )
    assert drawn.count("<rect") == 2
    assert 'width="0.7' not in drawn.split("rejected")[0]
    assert 'width="0.69' in drawn
