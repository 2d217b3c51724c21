"""How the project is laid out: data flows one way, generators stand alone, tests mirror code."""

from __future__ import annotations

from pathlib import Path

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

MAX_LINES = 400


def test_no_folder_imports_from_below(repo_root: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(repo_root)
    status = lint_imports(config_filename="pyproject.toml", no_cache=True)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_no_module_is_longer_than_the_limit(repo_root: Path) -> None:
    sizes = {
        str(path.relative_to(repo_root)): len(path.read_text(encoding="utf-8").splitlines())
        for path in (repo_root / "monai_sr").rglob("*.py")
    }
    assert {path: size for path, size in sizes.items() if size > MAX_LINES} == {}


CROSS_CUTTING = {
    "bundles": "what a bundle's folder promises, run as MONAI runs it",
    "docs": "pages of documentation, run as they stand",
    "end_to_end": "laws of whole runs, from file to file",
    "robustness": "broken and hostile files",
}
"""Folders of tests that are about no single module."""
_ABOUT_THE_PROJECT = {"layers", "packaging", "supply_chain"}


def test_tests_mirror_the_package(repo_root: Path) -> None:
    # tests/a/test_b.py or test_b_<topic>.py is about monai_sr/a/b.py or the package monai_sr/a/b,
    # tests/benchmarks/test_b.py about benchmarks/b.py.
    tests = repo_root / "tests"
    lost = []
    for file in sorted(tests.rglob("test_*.py")):
        folder = file.parent.relative_to(tests)
        if folder.parts and folder.parts[0] in CROSS_CUTTING:
            continue
        code = repo_root if folder.name == "benchmarks" else repo_root / "monai_sr"
        known = {path.stem for path in (code / folder).glob("[!_.]*")}
        known |= set() if folder.parts else _ABOUT_THE_PROJECT
        stem = file.stem.removeprefix("test_")
        if not any(f"{stem}_".startswith(f"{name}_") for name in known):
            lost.append(f"{file.relative_to(repo_root)}: name it after the module it tests")
    assert lost == []
