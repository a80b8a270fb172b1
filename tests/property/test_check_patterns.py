"""The patterns take what the API's own regular expressions take, and what is plain is among it."""

from __future__ import annotations

import re
import sys
from functools import cache
from itertools import groupby
from unicodedata import category

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from loader.schema.patterns import EMAIL, PHONE, PLAIN, SEAM, TAKES, TEXT, URL, all_plain, is_fine

# As the insert-records page prints them; it writes most backslashes twice.
PAGE_EMAIL = (
    r"^[\\+\\-\\p{L}\\p{M}\\p{N}_]([\\p{L}\\p{M}\\p{N}!#$%&'*+\\-\\/=?^_`{|}~.]*)@(?=.{4,256}$)"
    r"(([\\p{L}\\p{N}\\p{M}]+)(([\\-_]*[\\p{L}\\p{M}\\p{N}])*)[.])+[\\p{L}\\p{M}]{2,22}$"
)
PAGE_PHONE = (
    r"^([+]?)(?![.-])(?>(?>[.-]?[ ]?[\da-zA-Z]+)+|([ ]?((?![.-])(?>[ .-]?[\da-zA-Z]+)+)(?![.])"
    r"([ -]?[\da-zA-Z]+)?)+)+(?>(?>([,]+)?[;]?[\da-zA-Z]+)+(([#][\da-zA-Z]+)+)?)?[#;]?$"
)
PAGE_URL = (
    r"^(http:\\/\\/www.|https:\\/\\/www.|ftp:\\/\\/www.|www.|http:\\/\\/|https:\\/\\/|ftp:\\/\\/|){1}"
    r"[^\\x00-\\x19\\x22-\\x27\\x2A-\\x2C\\x2E-\\x2F\\x3A-\\x3F\\x5B-\\x5E\\x60\\x7B\\x7D-\\x7F]+"
    r"(\\.[^\\x00-\\x19\\x22\\x24-\\x2C\\x2E-\\x2F\\x3C\\x3E\\x40\\x5B-\\x5E\\x60\\x7B\\x7D-\\x7F]+)+"
    r"([\\/\\?].*)*$"
)
# The literal parentheses that its example needs: around the part that the page has in a group of its own.
PAGE_PHONE_LITERAL = PAGE_PHONE.replace(r"((?![.-])", r"\((?![.-])").replace(
    r"]+)+)(?![.])", r"]+)+\)(?![.])"
)
assert PAGE_PHONE_LITERAL.count("\\(") == PAGE_PHONE_LITERAL.count("\\)") == 1


@cache
def characters(kind: str) -> str:
    """All characters of a general category, as the inside of a character class."""
    spans: list[str] = []
    by_kind = groupby(range(sys.maxunicode + 1), key=lambda code: category(chr(code))[0] == kind)
    for is_kind, codes in by_kind:
        if is_kind:
            run = list(codes)
            spans.append(f"\\U{run[0]:08x}-\\U{run[-1]:08x}")
    return "".join(spans)


def without_atomic_groups(pattern: str) -> str:
    """The same in older words, a look ahead and a back reference, so that another part of `re` runs it."""
    number = 0
    while (start := pattern.rfind("(?>")) >= 0:
        end, depth = start, 0
        for end in range(start, len(pattern)):
            escaped = pattern[end - 1] == "\\"
            in_class = pattern.rfind("[", 0, end) > pattern.rfind("]", 0, end)
            depth += (pattern[end] == "(" and not escaped and not in_class) - (
                pattern[end] == ")" and not escaped and not in_class
            )
            if depth == 0:
                break
        inside, number = pattern[start + 3 : end], number + 1
        pattern = f"{pattern[:start]}(?:(?=(?P<g{number}>{inside}))(?P=g{number})){pattern[end + 1 :]}"
    return pattern


@cache
def page(pattern: str) -> re.Pattern[str]:
    text = pattern.replace("\\\\", "\\")
    for kind in "LMN":
        text = text.replace(f"\\p{{{kind}}}", characters(kind)) if "\\p" in text else text
    return re.compile(without_atomic_groups(text.replace("\\d", "0-9")))


# Time says nothing here: the machine may be busy, and the first draw builds tables of all characters.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def of(*pieces: str, most: int = 14) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(pieces), max_size=most).map("".join)


LETTERS = ("a", "Z", "é", "\u0301", "字", "\U0001d7d8", "٣", "Ⅷ", "½", "0", "_", "-")
emails = st.one_of(
    of(*LETTERS, ".", "@", "+", "!", "'", " ", "\n", "€", "\0"),
    st.builds(
        "{}@{}{}".format,
        of("a", "+", ".", "é", "~"),
        of(*LETTERS, ".", most=9),
        of(".de", ".a1", ".éé", "\n", most=2),
    ),
    st.builds("a@{}.{}".format, st.integers(1, 280).map("b".__mul__), st.integers(0, 24).map("c".__mul__)),
)
phones = of("1", "a", "Z", "12", " ", "  ", ".", "-", "(", ")", "+", ",", ";", "#", "٣", "/", "(1)", ". ")
urls = st.one_of(
    st.builds(
        "{}{}{}".format,
        of("http://", "https://", "ftp://", "www.", "wwwx", "HTTP://", "www\n", most=2),
        of("a", "é", ".", "?", "#", ":", "@", "(", "=", "-", "!", "~", "|", "\x1a", "\x7f", " ", most=6),
        of("/", "?", ".de", "x", "\n", "\u2028", "@", most=4),
    ),
    of("a", ".", "?", "/", "@", "w"),
)


@unhurried
@given(emails)
@example("p.daly@example.com")
@example("a@b.co")
@example("a@" + "b" * 252 + ".com")
@example("a@" + "b" * 253 + ".com")
@example("a@b.com\n")
@example("a@b-_-c.com")
@example("a@b-.com")
def test_an_email_is_what_the_page_s_expression_takes(text: str) -> None:
    assert TAKES[EMAIL](text) is (page(PAGE_EMAIL).fullmatch(text) is not None)


@unhurried
@given(phones)
@example("91(987)654321")
@example("9900000000")
@example("1  2. 3")
@example("1  2 4. 3")
@example("(1).2")
@example("(1). 2")
@example("1,,;2#3#4;")
@example("+-1")
@example("(1)(2) (3)-4 5")
def test_a_phone_is_what_either_reading_of_the_page_s_expression_takes(text: str) -> None:
    readings = (PAGE_PHONE, PAGE_PHONE_LITERAL)
    assert TAKES[PHONE](text) is any(page(each).fullmatch(text) is not None for each in readings)


@unhurried
@given(urls)
@example("www.example.com")
@example("www.com")
@example("www.a@b.com")
@example('www"a.com')
@example("http://a.?/x")
@example("a.b?.c")
@example("a.b/\n")
def test_a_website_is_what_the_page_s_expression_takes(text: str) -> None:
    assert TAKES[URL](text) is (page(PAGE_URL).fullmatch(text) is not None)


def test_the_page_s_expressions_were_read_rightly() -> None:
    assert page(PAGE_EMAIL).fullmatch("p.daly@example.com")
    assert not page(PAGE_EMAIL).fullmatch("p.daly@example")
    assert page(PAGE_PHONE).fullmatch("9900000000")
    assert not page(PAGE_PHONE).fullmatch("91(987)654321")
    assert page(PAGE_PHONE_LITERAL).fullmatch("91(987)654321")
    assert page(PAGE_URL).fullmatch("https://www.example.com/?q=1")
    assert not page(PAGE_URL).fullmatch("localhost")


values = {
    EMAIL: emails | of("a", "b.", "-", "@", "a@b.de", "."),
    PHONE: phones,
    URL: urls | of("a", "-", ".", "/", "http://", "?"),
    TEXT: st.text(max_size=4) | of(" ", "\n", "x", "\u00a0"),
}


@unhurried
@given(st.data(), st.lists(st.sampled_from(sorted(values)), max_size=4), st.integers(1, 3))
def test_what_is_plain_is_fine(data: st.DataObject, kinds: list[str], times: int) -> None:
    turns, kinds = kinds, kinds * times
    texts = [data.draw(values[kind]) for kind in kinds]
    if all_plain(turns)("".join(f"{text}{SEAM}" for text in texts), times):
        assert all(map(is_fine, kinds, texts))
        assert not any(SEAM in text for text in texts)
    elif all(re.fullmatch(PLAIN[kind], text) for kind, text in zip(kinds, texts, strict=True)):
        raise AssertionError("plain one by one, and not together")
