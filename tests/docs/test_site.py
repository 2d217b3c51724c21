"""The documentation as a site: built without a warning, complete, and asking nobody else."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

pytest.importorskip("material", reason="needs monai-sr[docs]")
_PARAGRAPH = re.compile(r"<p>(.*?)</p>", re.DOTALL)
_UNRENDERED = re.compile(r"^(?:[-*] |\d+\. |\|)", re.MULTILINE)


@pytest.fixture(scope="module")
def site(repo_root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "-d", str(folder)]
    done = subprocess.run(
        command, cwd=repo_root, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def _html(site):
    pages = {str(p.relative_to(site)): p.read_text(encoding="utf-8") for p in site.rglob("*.html")}
    assert len(pages) > 25
    return pages


def test_every_page_is_there_and_in_the_navigation(site, repo_root):
    docs = repo_root / "docs"
    pages = {p.relative_to(docs).with_suffix(".html").as_posix() for p in docs.rglob("*.md")}
    pages = {page for page in pages if page != "README.html"} | {"index.html"}
    built = _html(site)
    assert pages <= set(built)
    navigation = set(re.findall(r'<a href="([^"#:]+)" class="md-nav__link', built["index.html"]))
    assert pages - navigation <= {"index.html"}  # the page itself is named `.`
    brought = {page for page in built if page.startswith("project/")}
    assert {"project/index.html", "project/CONTRIBUTING.html"} <= brought <= navigation


def test_files_that_pages_link_to_are_brought_along(site, repo_root):
    name = "benchmarks/results/scene.csv"
    assert (site / "project" / name).read_bytes() == (repo_root / name).read_bytes()
    assert f'href="../project/{name}"' in _html(site)["how-to/scenes.html"]


def test_lists_and_tables_are_rendered(site):
    # Markdown of the site wants an empty line before them, that of the repository's pages does not.
    raw = []
    for name, text in _html(site).items():
        for paragraph in _PARAGRAPH.findall(text):
            plain = re.sub(r"<[^>]+>", "", paragraph)
            raw += [(name, plain[:80]) for _ in _UNRENDERED.findall(plain)]
    assert raw == []


def test_a_reader_s_browser_asks_nobody_else(site):
    for name, text in _html(site).items():
        loaded = re.findall(r'<(?:script|img|iframe|source)[^>]* src="([^"]+)"', text)
        loaded += re.findall(
            r'<link[^>]* rel="(?:stylesheet|preconnect)"[^>]* href="([^"]+)"', text
        )
        loaded += re.findall(r'<link[^>]* href="([^"]+)"[^>]* rel="stylesheet"', text)
        assert loaded, name
        assert [url for url in loaded if "//" in url] == [], name
