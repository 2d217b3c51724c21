"""Checks that every page must pass: well-formed, self-contained, usable by keyboard and ear."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

_VOID = {"meta", "link", "img", "input", "br", "hr", "progress"} - {"progress"}
_GRAPHICS = {"path", "use", "rect", "circle", "line"}


class Page(HTMLParser):
    """Gather the elements of a page.

    Attributes:
        elements: tag and attributes, in order.
        problems: what is wrong with the nesting.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.problems: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        self.problems += [f"<{tag}> is never closed" for tag in self._open]

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self._open or self._open.pop() != tag:
            self.problems.append(f"</{tag}> closes another element")

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def check_policy(page: Page, text: str) -> None:
    """Assert that the page allows its own styles and scripts by their hashes, and no other."""
    (policy,) = [
        a["content"] or ""
        for a in page.all("meta")
        if a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        inside = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert len(inside) == 1
        digest = base64.b64encode(hashlib.sha256(inside[0].encode()).digest()).decode()
        assert rules[directive] == f"'sha256-{digest}'"
    # What a policy of hashes forbids.
    for _, attributes in page.elements:
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


def check_page(text: str) -> Page:
    """Assert what holds for all pages, and return the elements."""
    page = Page(text)
    assert page.problems == []
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        for name in ("for", "aria-labelledby", "aria-describedby"):
            assert attributes.get(name) is None or attributes[name] in ids
        for name in ("src", "href", "xlink:href"):
            place = attributes.get(name)
            assert place is None or re.match(r"data:|#|images/", place), place
    for used in re.findall(r'getElementById\("(\w+)"\)|url\(#([\w-]+)\)', text):
        assert max(used) in ids
    check_policy(page, text)
    assert "://" not in re.sub(r'data:[^"]*', "", text)
    assert all(a.get("alt") for a in page.all("img"))
    for attributes in page.all("input"):
        assert attributes.get("aria-label") or attributes.get("id") in [
            label.get("for") for label in page.all("label")
        ]
    assert not [a for _, a in page.elements for name in a if name.startswith("on")]
    (html,) = page.all("html")
    assert html["lang"] == "en"
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all(
        "meta"
    )
    return page
