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


def _build(root, folder):
    # Not --quiet: what is not shown is not counted by --strict.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(folder)]
    return subprocess.run(
        command, cwd=root, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, check=False,
        capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(repo_root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = _build(repo_root, folder)
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


def test_a_broken_link_or_a_page_that_the_table_lacks_fails(repo_root, tmp_path):
    for name in ("mkdocs.yml", ".ci/site.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((repo_root / name).read_bytes())
    (tmp_path / "docs").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "data.csv").write_text("1\n")
    table = "# Pages\n\n[folder](../folder)\n\n| page | for |\n|---|---|\n| [a.md](a.md) | a |\n"
    (tmp_path / "docs" / "README.md").write_text(table)
    (tmp_path / "docs" / "a.md").write_text("# A\n\n[b](#b)\n\n## B\n")
    done = _build(tmp_path, tmp_path / "site")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "site" / "project" / "folder" / "data.csv").is_file()
    listing = (tmp_path / "site" / "project" / "folder" / "index.html").read_text()
    assert 'href="data.csv"' in listing

    for name, text, told in (
        ("a.md", "# A\n\n[b](../gone.csv)\n", "must lead to a file, got project/gone.csv"),
        ("a.md", "# A\n\n[b](#gone)\n", "'#gone'"),
        ("b.md", "# B\n", "b.md"),
    ):
        (tmp_path / "docs" / name).write_text(text)
        done = _build(tmp_path, tmp_path / "site")
        assert done.returncode != 0, told
        assert told in done.stdout + done.stderr
        (tmp_path / "docs" / "a.md").write_text("# A\n")


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
