"""Links between the pages lead somewhere."""

from __future__ import annotations

import re

import pytest

PAGES = ["README.md", "CONTRIBUTING.md", "docs"]


def _pages(root):
    for name in PAGES:
        path = root / name
        yield from sorted(path.rglob("*.md")) if path.is_dir() else [path]


@pytest.mark.parametrize("kind", ["file", "heading"])
def test_links_lead_somewhere(repo_root, kind):
    broken = []
    for page in _pages(repo_root):
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            file, _, heading = target.partition("#")
            if target.startswith("http"):
                continue
            found = (page.parent / file) if file else page
            if kind == "file" and not found.exists():
                broken.append((page.name, target))
            if kind == "heading" and heading and heading not in _headings(found.read_text()):
                broken.append((page.name, target))
    assert broken == []


def _headings(text):
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_is_in_the_index(repo_root):
    folder = repo_root / "docs"
    index = (folder / "README.md").read_text()
    pages = {str(p.relative_to(folder)) for p in folder.rglob("*.md")} - {"README.md"}
    assert {page for page in pages if f"({page})" not in index} == set()
