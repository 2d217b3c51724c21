"""Extras, the recipe for conda and the workflows say what pyproject.toml and .ci/run say."""

from __future__ import annotations

import re
import sys

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from monai_sr.core.version import __version__

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CONDA_NAMES = {"torch": "pytorch", "python-gdcm": "gdcm"}
"""pip's names of packages that conda-forge names otherwise."""
_PINNED = re.compile(r"^[\w./-]+@[0-9a-f]{40}$")


@pytest.fixture(scope="module")
def project(repo_root):
    return tomllib.loads((repo_root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def recipe(repo_root):
    text = (repo_root / "conda" / "recipe" / "recipe.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


@pytest.fixture(scope="module", params=["tests", "wheel", "docs"])
def workflow(repo_root, request):
    path = repo_root / ".github" / "workflows" / f"{request.param}.yml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_every_extra_is_explained(repo_root, project):
    page = (repo_root / "docs" / "how-to" / "install.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert set(named) == set(project["optional-dependencies"])
    assert len(named) == len(set(named))


def test_an_extra_that_the_code_asks_for_exists(repo_root, project):
    asked = {
        name
        for file in (repo_root / "monai_sr").rglob("*.py")
        for name in re.findall(r"(?:extra=\"|monai-sr\[)(\w+)", file.read_text(encoding="utf-8"))
    }
    assert {"openvino", "spandrel", "zarr"} <= asked
    assert asked <= set(project["optional-dependencies"])


def test_dev_holds_what_its_line_says(project):
    extras = project["optional-dependencies"]
    held = {extra for line in extras["dev"] for extra in Requirement(line).extras}
    # An SDK that brings CUDA, a server, and what nothing tests.
    assert set(extras) - held == {"deploy", "dev", "mlflow", "tensorrt"}


def test_recipe_needs_what_the_package_needs(project, recipe):
    needed = {}
    for line in project["dependencies"]:
        requirement = Requirement(line)
        name = CONDA_NAMES.get(requirement.name, canonicalize_name(requirement.name))
        needed[name] = set(str(requirement.specifier).split(","))
    run = dict(entry.split(" ", 1) for entry in recipe["requirements"]["run"])
    assert run.pop("python") == ">=${{ python_min }}"
    assert {name: set(bounds.split(",")) for name, bounds in run.items()} == needed
    assert project["requires-python"] == f">={recipe['context']['python_min']}"


def test_recipe_names_version_command_and_licenses(repo_root, project, recipe):
    assert recipe["context"]["version"] == __version__
    assert recipe["package"]["name"] == project["name"]
    assert recipe["build"]["noarch"] == "python"
    name, target = next(iter(project["scripts"].items()))
    assert recipe["build"]["python"]["entry_points"] == [f"{name} = {target}"]
    files = recipe["about"]["license_file"]
    assert [file for file in files if not (repo_root / file).is_file()] == []
    assert set(files) >= set(project["license-files"])
    terms = {str(p.relative_to(repo_root)) for p in repo_root.glob("bundles/*/docs/data_license*")}
    terms |= {str(p.relative_to(repo_root)) for p in (repo_root / "monai_sr").rglob("*_LICENSE*")}
    assert len(terms) >= 5
    assert terms <= set(files)


def test_workflows_run_the_same_commands_as_here(repo_root, workflow):
    targets = re.findall(
        r"^([a-z]+):", (repo_root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    commands = [step["run"] for step in _steps(workflow) if "run" in step]
    for command in commands:
        word, name = command.split()[:2]
        assert (word, name) == ("bash", ".ci/run") or (word == "make" and name in targets)
    assert commands


def test_workflows_pin_actions_and_grant_little(workflow):
    uses = [step["uses"] for step in _steps(workflow) if "uses" in step]
    assert [action for action in uses if not _PINNED.match(action)] == []
    assert workflow["permissions"] == {"contents": "read"}
    assert {"group", "cancel-in-progress"} <= set(workflow["concurrency"])
    for name, job in workflow["jobs"].items():
        assert "timeout-minutes" in job
        # Only jobs that run no code of ours may do more than read.
        writes = [right for right, how in job.get("permissions", {}).items() if how == "write"]
        assert not writes or name in {"attest", "publish"}
        assert not writes or all("run" not in step for step in job["steps"])
    checkouts = [s for s in _steps(workflow) if s.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_every_python_that_is_supported_is_tested(repo_root, project):
    path = repo_root / ".github" / "workflows" / "tests.yml"
    job = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]["tests"]
    versions = job["strategy"]["matrix"]["python"]
    assert versions == ["3.10", "3.11", "3.12", "3.13"]
    assert project["requires-python"] == f">={versions[0]}"


def test_what_ci_runs_is_a_target(repo_root):
    script = (repo_root / ".ci" / "run").read_text(encoding="utf-8")
    makefile = (repo_root / "Makefile").read_text(encoding="utf-8")
    called = re.findall(r"^make (\w+)", script, re.MULTILINE)
    assert {"lint", "test", "wheel"} <= set(called)
    assert all(re.search(rf"^{name}:", makefile, re.MULTILINE) for name in called)
