"""What MkDocs needs to know of this repository (``hooks`` of mkdocs.yml).

Pages link to one another as files of the repository, so that they can be read there. On the site
files outside of ``docs/`` that a page links to lie below ``project/``, and links are changed
accordingly: nothing is kept twice. The navigation is the table of ``docs/README.md``.
"""

from __future__ import annotations

import logging
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = "project/"
"""Where on the site files lie that are not in ``docs/``."""
_LISTING = "index.md"
_LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)\s#]+)")
_ROW = re.compile(r"^\| \[[^\]]+\]\(([^)]+\.md)\) \|", re.MULTILINE)
_SECTIONS = {"how-to": "How to", "decisions": "Decisions", "project": "The project"}
_log = logging.getLogger("mkdocs.hooks.site")  # --strict counts its warnings


def slug(heading: str, separator: str) -> str:
    """Return the anchor of a heading as the repository's web pages have it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", separator)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Let anchors be those that the pages' links name."""
    config.mdx_configs["toc"]["slugify"] = slug
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what pages link to outside of ``docs/``, and what these link to; make the navigation."""
    pages = [file for file in files if file.is_documentation_page()]
    while pages:
        page = pages.pop()
        for target in _targets(page):
            if not target.startswith(OUTSIDE) or files.get_file_from_path(target):
                continue
            file = _from_outside(target, config)
            if file is None:
                _log.warning(f"{page.src_uri}: a link must lead to a file, got {target}")
                continue
            files.append(file)
            pages += [file] if file.is_documentation_page() else []
    config.nav = _navigation(files)
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Change the links of a page to where their targets lie on the site."""
    here = posixpath.dirname(page.file.src_uri)
    return _LINK.sub(
        lambda link: posixpath.relpath(_on_site(page.file.src_uri, link[1]), here or "."), markdown
    )


def _from_outside(target: str, config: MkDocsConfig) -> File | None:
    path = ROOT / target.removeprefix(OUTSIDE)
    if path.is_file():
        return File.generated(config, target, abs_src_path=str(path))
    if path.name != _LISTING or not path.parent.is_dir():
        return None
    names = sorted(each.name for each in path.parent.iterdir() if each.is_file())
    lines = [f"# {path.parent.relative_to(ROOT).as_posix()}", ""]
    lines += [f"- [{name}]({name})" for name in names]
    return File.generated(config, target, content="\n".join(lines) + "\n")


def _targets(page: File) -> Iterator[str]:
    links = _LINK.findall(page.content_string)
    yield from (_on_site(page.src_uri, link) for link in links)


def _in_repository(page: str) -> Path:
    if page.startswith(OUTSIDE):
        return ROOT / page.removeprefix(OUTSIDE)
    return ROOT / "docs" / page


def _on_site(page: str, link: str) -> str:
    """Return the path on the site of what a page of the site links to in the repository."""
    folder = _in_repository(page).parent.relative_to(ROOT).as_posix()
    target = posixpath.normpath(posixpath.join(folder, link))
    if target == "docs" or target.startswith("docs/"):
        return target.removeprefix("docs").lstrip("/") or "README.md"
    if (ROOT / target).is_dir():  # its page, or one that lists its files
        has_page = (ROOT / target / "README.md").is_file()
        target = posixpath.join(target, "README.md" if has_page else _LISTING)
    return OUTSIDE + target


def _navigation(files: Files) -> list[Any]:
    """Return the pages in the order of the table, then those from outside of ``docs/``."""
    listed = ["README.md", *_ROW.findall((ROOT / "docs" / "README.md").read_text("utf-8"))]
    outside = [f.src_uri for f in files.documentation_pages() if f.src_uri.startswith(OUTSIDE)]
    groups: dict[str, list[str]] = {}
    for page in [*listed, *sorted(outside)]:
        groups.setdefault(page.partition("/")[0] if "/" in page else "", []).append(page)
    sections = [{_SECTIONS[name]: pages} for name, pages in groups.items() if name]
    return [*groups.get("", []), *sections]
