"""A page for everybody: what a screen reader and a keyboard need is in its markup."""

from __future__ import annotations

from html.parser import HTMLParser
from itertools import pairwise

import pytest

from tests.report.pages import full_page

_VOID = {"meta", "link", "br", "hr", "img", "input"}
_Attributes = dict[str, str | None]


class _Element:
    """An element with what is in it."""

    def __init__(self, tag: str, attributes: _Attributes, parent: _Element | None) -> None:
        self.tag, self.attributes, self.parent = tag, attributes, parent
        self.children: list[_Element] = []
        self.text = ""

    def all(self, tag: str = "") -> list[_Element]:
        """Return the elements in it, in order."""
        found = []
        for child in self.children:
            found += [child] if tag in ("", child.tag) else []
            found += child.all(tag)
        return found

    def within(self, tag: str) -> bool:
        """Return whether it lies in such an element."""
        return self.parent is not None and (self.parent.tag == tag or self.parent.within(tag))

    @property
    def words(self) -> str:
        """All text in it."""
        return self.text + "".join(child.words for child in self.children)

    @property
    def classes(self) -> list[str]:
        """Its classes."""
        return (self.attributes.get("class") or "").split()


class _Tree(HTMLParser):
    """A page as a tree; every element but those that hold nothing is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.root = self.now = _Element("", {}, None)
        self.feed(page)
        assert self.now is self.root, f"<{self.now.tag}> is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = _Element(tag, dict(attrs), self.now)
        self.now.children.append(element)
        if tag not in _VOID:
            self.now = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.now.children.append(_Element(tag, dict(attrs), self.now))

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.now.tag, f"</{tag}> ends <{self.now.tag}>"
        assert self.now.parent is not None
        self.now = self.now.parent

    def handle_data(self, data: str) -> None:
        self.now.text += data


@pytest.fixture(scope="module")
def page() -> _Element:
    """Return a page that has every section."""
    return _Tree(full_page()).root


def _name(page: _Element, element: _Element) -> str:
    """Return what an element is called."""
    if label := element.attributes.get("aria-label"):
        return label
    by = element.attributes.get("aria-labelledby")
    return next((one.words for one in page.all() if by and one.attributes.get("id") == by), "")


def _of_role(page: _Element, role: str) -> list[_Element]:
    return [one for one in page.all() if one.attributes.get("role") == role]


def test_page_says_its_language_and_title(page: _Element) -> None:
    (html,), (head,) = page.all("html"), page.all("head")
    (title,) = head.all("title")

    assert html.attributes["lang"] == "en"
    assert "FAIL" in title.words


def test_headings_begin_with_one_and_leave_no_level_out(page: _Element) -> None:
    levels = [int(one.tag[1]) for one in page.all() if one.tag in ("h1", "h2", "h3", "h4", "h5", "h6")]

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))


def test_page_has_its_landmarks_once(page: _Element) -> None:
    assert [len(page.all(tag)) for tag in ("header", "main")] == [1, 1]


def test_regions_have_names_of_their_own(page: _Element) -> None:
    names = [_name(page, one) for one in (*page.all("section"), *_of_role(page, "region"))]

    assert all(names)
    assert len(set(names)) == len(names)


def test_every_drawing_is_an_image_with_words_or_hidden(page: _Element) -> None:
    drawings = page.all("svg")
    images = [one for one in drawings if one.attributes.get("role") == "img"]

    assert len(images) == 2
    assert all(len(one.attributes.get("aria-label") or "") > 20 for one in images)
    assert all(one.attributes.get("aria-hidden") == "true" for one in drawings if one not in images)


def test_what_scrolls_is_reached_by_keyboard_and_has_a_name(page: _Element) -> None:
    scrolling = [one for one in page.all() if "scroll" in one.classes]

    assert scrolling
    assert {(one.attributes.get("tabindex"), one.attributes.get("role")) for one in scrolling} == {
        ("0", "region")
    }
    assert all(_name(page, one) for one in scrolling)


def test_what_is_wide_scrolls(page: _Element) -> None:
    wide = [one for one in page.all() if one.tag == "table" or "timeline" in one.classes]

    assert all(one.parent is not None and "scroll" in one.parent.classes for one in wide)


def test_keyboard_goes_by_the_order_of_the_page(page: _Element) -> None:
    assert {one.attributes.get("tabindex", "0") for one in page.all()} == {"0"}
    (first, *_) = page.all("a")
    assert (first.words, first.attributes["href"]) == ("Skip to the findings", "#findings")


def test_every_link_within_the_page_leads_somewhere(page: _Element) -> None:
    ids = [one.attributes["id"] for one in page.all() if "id" in one.attributes]
    targets = {(one.attributes["href"] or "")[1:] for one in page.all("a") if _is_within(one)}

    assert len(set(ids)) == len(ids)
    assert targets <= set(ids)


def _is_within(link: _Element) -> bool:
    return (link.attributes["href"] or "").startswith("#")


def test_every_table_says_what_it_is_and_what_its_heads_are_of(page: _Element) -> None:
    tables = page.all("table")
    captions = [caption.words for table in tables for caption in table.all("caption")]

    assert len(set(captions)) == len(captions) == len(tables)
    assert all({one.attributes.get("scope") for one in table.all("th")} >= {"col"} for table in tables)
    assert {one.attributes.get("scope") for one in page.all("th")} == {"col", "row", "rowgroup"}


def test_head_of_a_group_of_rows_is_in_a_group_of_its_own(page: _Element) -> None:
    groups = [[th.attributes["scope"] for th in one.all("th")] for one in page.all("tbody")]

    assert groups == [["rowgroup"]] * 9


def test_label_stands_only_where_one_is_allowed(page: _Element) -> None:
    labelled = [one for one in page.all() if "aria-label" in one.attributes]

    assert all("role" in one.attributes or one.tag == "section" for one in labelled)


def test_sign_of_a_verdict_is_not_read_but_its_word_is(page: _Element) -> None:
    badges = [one for one in page.all("span") if "badge" in one.classes]

    assert badges
    assert all(one.text.strip() for one in badges)
    assert all(one.children[0].attributes.get("aria-hidden") == "true" for one in badges)
