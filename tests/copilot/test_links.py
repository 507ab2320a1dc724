"""No address gets out in a text, wherever its pieces are cut."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from segment_copilot.copilot.guards.links import LinkFilter


def filtered(*pieces: str) -> str:
    links = LinkFilter()
    return "".join([links.feed(piece) for piece in pieces]) + links.flush()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("See [docs](http://e.com/x?(a)) now", "See docs now"),
        ("![chart](http://e.com/?d=1)", "chart"),
        ("[![alt](http://a)](http://b)", "!alt(http:a)"),
        ("[a][b]\n[b]: http://e.com\nend", "a\n\nend"),
        ("<img src=http://e.com/?d=1>fine", "fine"),
        ("<http://e.com>", ""),
        ("total[0] is 3 < 4, wow!", "total[0] is 3 < 4, wow!"),
        ("a [b] c [d", "a [b] c [d"),
        ("1 [list] and (more)", "1 [list] and (more)"),
        ("Top page: https://shop.example/pricing?a=1.", "Top page: https:shop.example/pricing?a=1."),
        ("HTTPS://E.com and (www.e.com) or ftp://e.com", "HTTPS:E.com and (www. e.com) or ftp:e.com"),
        ("hthttp://tp:////e.com http:/", "hthttp:tp:////e.com http:/"),
        ("[http](x)://e.com", "http:e.com"),
        ("ht<b>tp:<i>//e.com", "http:e.com"),
        ("[a]http://(b)", "[a]http:(b)"),
        ("what a show, I think of http", "what a show, I think of http"),
        ("\x1b[31mred\x07 \u202egnp.exe\u202c \U000e0041end\r\n\tok", "[31mred gnp.exe end\n\tok"),
        ("h\u200bttps://e.com", "https:e.com"),
        ("![cut](e.com/?d=", "![cut] (e.com/?d="),
        ("a<b and <img src=e.com/", "a< b and < img src=e.com/"),
    ],
)
def test_links_lose_their_address_and_other_text_stays(text: str, shown: str):
    assert filtered(text) == shown


MARKDOWN = st.text(alphabet="ab[]()!<>:\n /", max_size=40)
ADDRESSES = st.lists(
    st.sampled_from([*"htps:/w.f[]()<> a\u200b", "http", "https://", "http://", "www.", "ftp:/", "<b>", "](", "HTTP"]), max_size=16
).map("".join)  # fmt: skip


@given(text=MARKDOWN | ADDRESSES, cuts=st.lists(st.integers(0, 40), max_size=6))
@example(text="![a](b)", cuts=[1, 2, 4])
def test_it_does_not_matter_where_a_text_is_cut(text: str, cuts: list[int]):
    ends = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    pieces = [text[start:end] for start, end in pairwise(ends)]

    assert filtered(*pieces) == filtered(text)


@given(text=MARKDOWN)
@example(text="[a]<b>(c)")
@example(text="[a]![](b)(c)")
@example(text="[[a]](b)")
@example(text="<<b>a>")
@example(text="<[a][b] >")
def test_no_link_is_left(text: str):
    assert not re.search(r"\[[^\[\]]*\]\([^()]*\)|<[a-z][^<>]*>", filtered(text))


@given(text=ADDRESSES | MARKDOWN)
@example(text="hthttp://tp://a")
@example(text="[http](a)://a")
@example(text="www.www.a")
def test_no_address_is_left(text: str):
    assert not re.search(r"(https?|ftp)://|www\.[a-z0-9]", filtered(text), re.IGNORECASE)
    assert not re.search(r"\[[^\[\]]*\]\([^()]*\)|<[a-z][^<>]*>", filtered(text))


@pytest.mark.parametrize(
    "text", ["[{}](//e.com/?d=1)", "![{}](//e.com)", "[a](//e.com/{})", "<img {} src=//e.com>", "<{}", "]({})"]
)
def test_what_is_too_long_to_wait_for_is_no_link_either(text: str):
    text = text.format("x" * 5_000)

    assert not re.search(r"\]\(|<[a-z/!?]", filtered(text))
    assert filtered(*text) == filtered(text)


def test_a_bracket_that_never_closes_does_not_hold_a_text_back_for_ever():
    links = LinkFilter()

    shown = links.feed("[" + "x" * 10_000)

    assert len(shown) > 5_000
