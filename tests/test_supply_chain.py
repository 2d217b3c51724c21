from __future__ import annotations

import fnmatch
import importlib.util
import json
import re
import subprocess

import pytest

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_SHIPPED = (
    ".pt", ".safetensors", ".png", ".webp", ".svg", ".tif", ".dcm", ".gz", ".nii", ".csv", ".npz",
)  # fmt: skip


def _script(repo_root, name):
    spec = importlib.util.spec_from_file_location(f"ci_{name}", repo_root / ".ci" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _pins(text):
    return {(re.sub(r"[-_.]+", "-", name).lower(), version) for name, version in _PIN.findall(text)}


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_locks_hold_the_pinned_versions_with_hashes(repo_root, name):
    text = (repo_root / name).read_text()
    pinned = _pins((repo_root / "constraints.txt").read_text())
    known = {package for package, _ in pinned}
    locked = _pins(text)
    assert {pin for pin in locked if pin[0] in known} <= pinned
    blocks = re.split(r"^(?=[A-Za-z])", text, flags=re.MULTILINE)[1:]
    assert len(blocks) > 60
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", block) for block in blocks)
    assert "://" not in text
    assert not {package for package, _ in locked} & {"torch", "torchvision", "triton"}


def test_locks_hold_what_the_package_needs(repo_root):
    project = (repo_root / "pyproject.toml").read_text()
    needed = re.search(r"^dependencies = \[(.*?)^\]", project, re.DOTALL | re.MULTILINE)[1]
    names = {n.lower() for n in re.findall(r'^\s*"([A-Za-z0-9-]+)', needed, re.MULTILINE)}
    locked = {package for package, _ in _pins((repo_root / "requirements.lock").read_text())}
    assert names - locked == {"torch", "torchvision"}
    developing = {p for p, _ in _pins((repo_root / "requirements-dev.lock").read_text())}
    assert locked < developing


def test_bill_of_materials_is_up_to_date(repo_root):
    script = _script(repo_root, "sbom")
    assert script.TARGET.read_text(encoding="utf-8") == script.text(), "run make sbom"
    document = json.loads(script.text())
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    kinds = [part["type"] for part in document["components"]]
    assert kinds.count("machine-learning-model") > 20
    names = {part["name"] for part in document["components"]}
    assert {"torch", "numpy", "bundles/mri_sr/models/model.pt"} <= names
    refs = [part["bom-ref"] for part in document["components"]]
    assert len(refs) == len(set(refs))


def test_terms_of_every_shipped_file_are_in_one_place(repo_root):
    try:
        listed = subprocess.run(
            ["git", "ls-files"], cwd=repo_root, capture_output=True, check=True, text=True
        ).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs a checkout of git")
    lines = (repo_root / "LICENSES.md").read_text().splitlines()
    cells = [line.split("|")[1] for line in lines if line.startswith("| `")]
    patterns = [pattern for cell in cells for pattern in re.findall(r"`([^`]+)`", cell)]
    shipped = [n for n in listed if n.endswith(_SHIPPED) and not n.startswith("tests/")]
    assert len(shipped) > 40
    uncovered = [n for n in shipped if not any(fnmatch.fnmatch(n, p) for p in patterns)]
    assert uncovered == []
    assert [p for p in patterns if not fnmatch.filter(listed, p)] == []


@pytest.mark.parametrize(
    ("answer", "reason", "code", "words"),
    [
        ("", "requests.exceptions.ConnectionError: (...)", 2, "NOTHING WAS CHECKED"),
        ('{"dependencies": [{"name": "a", "skip_reason": "gone"}]}', "", 2, "CHECKED.*gone"),
        ('{"dependencies": [{"name": "a", "version": "1", "vulns": []}]}', "", 0, "1 of 1.*no kn"),
        (
            '{"dependencies": [{"name": "a", "version": "1", "vulns": []}, '
            '{"name": "b", "skip_reason": "gone"}]}',
            "", 2, "1 of 2.*NOT CHECKED: b",
        ),
        (
            '{"dependencies": [{"name": "a", "version": "1", "vulns": '
            '[{"id": "X-1", "fix_versions": ["2"]}]}]}',
            "", 1, "KNOWN: a 1: X-1, mended in 2",
        ),
    ],
)  # fmt: skip
def test_audit_says_what_was_not_asked(repo_root, answer, reason, code, words):
    found, said = _script(repo_root, "audit").verdict(answer, reason)
    assert found == code
    assert re.search(words, said, re.DOTALL)
