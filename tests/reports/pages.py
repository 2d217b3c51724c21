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
        inline: tag and content of styles and of scripts that run, whatever their attributes.
        problems: what is wrong with the nesting.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[tuple[str, str]] = []
        self.problems: list[str] = []
        self._open: list[str] = []
        self._is_inline = False
        self.feed(text)
        self.close()
        self.problems += [f"<{tag}> is never closed" for tag in self._open]

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)
        # HTML, section 4.12.1: a script of another type is a block of data and never runs.
        if tag == "style" or (tag == "script" and dict(attrs).get("type") != "application/json"):
            self.inline.append((tag, ""))
            self._is_inline = True

    def handle_data(self, data):
        if self._is_inline:
            tag, before = self.inline[-1]
            self.inline[-1] = (tag, before + data)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        self._is_inline = False
        if not self._open or self._open.pop() != tag:
            self.problems.append(f"</{tag}> closes another element")

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def check_policy(page: Page, text: str) -> None:
    """Assert what a browser makes of the policy: the page's own parts are allowed, no others.

    W3C, Content Security Policy Level 3, sections 6.7.2 (hashes) and 6.7.3 (places).
    """
    (policy,) = [
        a["content"] or ""
        for a in page.all("meta")
        if a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert "unsafe" not in policy
    rules = {name: places for name, *places in (rule.split() for rule in policy.split(";"))}
    assert len(rules) == len(policy.split(";")), "of two rules of a name the second is ignored"
    assert [rules[n] for n in ("default-src", "base-uri", "form-action")] == [["'none'"]] * 3
    # A policy holds for what follows it; browsers read CR LF as LF before they take a hash.
    assert text.index("Content-Security-Policy") < min(map(text.index, ("<style", "<script")))
    assert "\r" not in text
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        digests = [
            hashlib.sha256(inside.encode()).digest() for t, inside in page.inline if t == tag
        ]
        assert len(digests) == 1
        assert rules[directive] == [f"'sha256-{base64.b64encode(d).decode()}'" for d in digests]
    # What a policy of hashes forbids, and what has no rule but none.
    names = {name for _, attributes in page.elements for name in attributes}
    assert not [name for name in names if name in ("style", "srcdoc") or name.startswith("on")]
    assert not {"iframe", "frame", "object", "embed", "base", "form", "video", "audio"} & {
        tag for tag, _ in page.elements
    }
    assert all("src" not in script for script in page.all("script"))
    assert {link["rel"] for link in page.all("link")} <= {"icon"}
    assert "data:" in rules["img-src"]
    places = [a["src"] or "" for a in page.all("img") if "src" in a]
    places += [link["href"] or "" for link in page.all("link")]
    for place in places:
        assert place.startswith("data:") or "'self'" in rules["img-src"], place[:40]


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
