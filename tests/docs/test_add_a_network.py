"""docs/how-to/add-a-network.md is true: its files, Python and commands work from outside."""

from __future__ import annotations

import csv
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ConfigWorkflow
from PIL import Image

from monai_sr.networks import registry
from tests.docs.pages import Block, run, sections, write_photos

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "add-a-network.md"
SECTIONS = sections(PAGE)
# Of the page's bundle, which has the network of all others otherwise.
NETWORK = "network: {name: hybrid_cascade, channels: 8, num_blocks: 1, block: plain, recursions: 1}"


def small(command: str) -> str:
    """Give a command of the page a budget of steps."""
    has_two_stages = "--stages 2" in command or "train_gan" in command
    budget = "--steps 3 --stage_1_steps 2" if has_two_stages else "--steps 4"
    return command.replace("--minutes 5", budget)


def enlarge_photos() -> None:
    """Write the photos in a size that holds patches of the bundles' own training."""
    shutil.rmtree("photos")
    write_photos(Path("photos"), (208, 200))


@pytest.fixture
def workplace(tmp_path, monkeypatch, repo_root):
    """Return a folder with the page's files and a few photos, from which Python imports."""
    for block in (block for blocks in SECTIONS.values() for block in blocks):
        if block.file:
            (tmp_path / block.file).parent.mkdir(exist_ok=True)
            more = f"{NETWORK}\n" if block.file.endswith("domain.yaml") else ""
            (tmp_path / block.file).write_text(block.text + more)
    write_photos(tmp_path / "photos")
    (tmp_path / "bundles").symlink_to(repo_root / "bundles")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    # What a module registers is forgotten with it; ours are to be there before.
    for known in (registry.GENERATORS, registry.DISCRIMINATORS):
        known.names()
        monkeypatch.setattr(known, "_entries", dict(known._entries))
    importlib.invalidate_caches()
    yield tmp_path
    for name in ("my_networks", "my_losses", "my_discriminators"):
        sys.modules.pop(name, None)


def commands(section: str) -> list[Block]:
    return [block for block in SECTIONS[section] if block.kind == "bash"]


def snippets(section: str) -> list[Block]:
    return [block for block in SECTIONS[section] if block.kind == "python" and not block.file]


def curve(run: str) -> dict[str, str]:
    with Path(run, "curve.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))[-1]


def size(file: str) -> tuple[int, int]:
    with Image.open(file) as image:
        return image.size


def test_generator_is_trained_and_used(workplace):
    one, two, monai = commands("A generator")
    check, use = snippets("A generator")
    exec(compile(check.text, "check", "exec"), {})
    run(one, small)
    assert size("out/a_x4.png") == (4 * 112, 4 * 104)
    run(two, small)
    weights = torch.load("runs/small_gan/stage_1/model.pt", weights_only=True)
    assert weights["first.weight"].shape == (48, 3, 5, 5)
    assert curve("runs/small_gan")["step"] == "3"
    run(monai, small)
    assert Path("out/a_x4.png").read_bytes() == Path("out_monai/a_x4.png").read_bytes()
    found: dict[str, np.ndarray] = {}
    exec(compile(use.text, "use", "exec"), found)
    with Image.open("out/a_x4.png") as image:
        assert np.array_equal(found["large"].numpy().transpose(2, 1, 0), np.asarray(image))


def test_the_pages_check_finds_a_halo_that_is_too_small(workplace):
    file = workplace / "my_networks.py"
    file.write_text(file.read_text().replace("halo=3", "halo=2"))
    with pytest.raises(AssertionError, match="Tensor-likes are not close"):
        exec(compile(snippets("A generator")[0].text, "check", "exec"), {})


def test_loss_becomes_a_term(workplace):
    (train,) = commands("A loss")
    run(train, small)
    assert size("out_edges/a_x4.png") == (448, 416)
    module = importlib.import_module("my_losses")
    sr, hr = torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]]), torch.zeros(1, 1, 2, 2)
    assert module.EdgeLoss()(sr, hr) == 1  # across: 1 and 1; down: 0 and 0
    pixel = train.commands[0].replace(",'edges.yaml'", "").replace("runs/edges", "runs/pixel")
    run(Block("bash", pixel), small)
    assert float(curve("runs/edges")["loss"]) > float(curve("runs/pixel")["loss"])


def test_arguments_that_the_page_lists_are_those_that_stage_2_gives(workplace):
    text = PAGE.read_text().split("| argument | is |")[1].split("\n\n")[0]
    listed = {word for line in text.splitlines() for word in line.split("|")[1:2] if "`" in word}
    names = {name for cell in listed for name in cell.replace("`", "").replace(",", " ").split()}
    (workplace / "my_losses.py").write_text(
        "from torch import nn\n\n\nclass EdgeLoss(nn.Module):\n"
        f"    def forward(self, {', '.join(sorted(names))}):\n"
        "        return (sr - ema_sr).abs().mean()\n"
    )
    run(commands("A discriminator")[0], small)
    assert float(curve("runs/judge")["edges"]) >= 0


def test_discriminator_judges(workplace):
    alone, behind_bands = commands("A discriminator")
    run(alone, small)
    assert size("out_judge/a_x4.png") == (448, 416)
    row = curve("runs/judge")
    assert {"pixel", "edges", "adversarial", "discriminator"} <= set(row)
    state = torch.load("runs/judge/state.pt", weights_only=True)
    assert state["discriminator"]["first.weight"].shape == (32, 3, 4, 4)
    run(behind_bands, small)
    state = torch.load("runs/bands/state.pt", weights_only=True)
    assert state["discriminator"]["judge.first.weight"].shape == (16, 9, 4, 4)


def test_bundle_of_ones_own_is_found_by_its_folder(workplace):
    enlarge_photos()
    make, use = commands("A bundle for a domain")
    run(make, small)
    configs = workplace / "microscopy_sr" / "configs"
    assert {f.stem for f in configs.glob("*.yaml")} == {
        f.stem for f in configs.glob("*.json") if f.stem != "metadata"
    }
    content = yaml.safe_load((configs / "train.yaml").read_text())
    assert (content["name"], content["in_channels"]) == ("microscopy_sr", 1)
    assert content["validate"]["key_metric"]["val_psnr"]["protocol"] == "native"
    lines = [line for f in configs.glob("*.yaml") for line in f.read_text().splitlines()]
    assert not [line for line in lines if "natural_sr" in line.partition("#")[0]]
    run(use, small)
    assert size("out_microscopy/a_x4.png") == (832, 800)
    workflow = ConfigWorkflow(
        config_file=str(configs / "inference.json"), workflow_type="infer",
        bundle_root=str(workplace / "microscopy_sr"), input="photos/a.png", output_dir="other",
    )  # fmt: skip
    workflow.initialize()
    assert workflow.check_properties() == []
    assert workflow.network_def.in_channels == 1
    workflow.finalize()


@pytest.mark.slow
def test_the_whole_page_works_in_a_shell(workplace, repo_root):
    """As a user types it: real processes, the environment of the page's first block."""
    enlarge_photos()
    script = ["set -e"]
    for block in (block for blocks in SECTIONS.values() for block in blocks):
        if block.kind == "bash":
            script += [small(command) for command in block.commands]
        elif block.kind == "python" and not block.file:
            script.append(f"python - <<'END'\n{block.text}END")
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
             "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert size("out_microscopy/a_x4.png") == (832, 800)
