"""The import contract of pyproject.toml: data flows one way, generators stand alone."""

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
