"""Several processes that share a batch train as one process with the whole batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
OVERLAY = """
network_def:
  _target_: monai_sr.networks.create_generator
  name: hybrid_cascade
  scale: 4
  in_channels: 3
  channels: 16
  num_blocks: 2
  block: plain
  recursions: 1
discriminator_def:
  _target_: monai_sr.networks.create_discriminator
  name: unet_sn
  in_channels: 3
  channels: 8
# Adam divides by the size of a gradient: where that is near zero, rounding decides a whole step.
optimizer: {_target_: torch.optim.SGD, params: $@network.parameters(), lr: 0.1}
discriminator_optimizer: {_target_: torch.optim.SGD, params: $@discriminator.parameters(), lr: 0.1}
generator_learning_rate: 0.1
discriminator_learning_rate: 0.1
patch_size: 16
batch_size: 4
epoch_length: 10
warmup_steps: 2
adversarial_weight: 1.0
adversarial_ramp: 0
"""


@pytest.mark.slow
def test_two_processes_equal_one_on_the_same_global_batch(tmp_path):
    """The relativistic loss couples all images of a batch: its means span the processes."""
    rng = np.random.default_rng(0)
    for folder, count in (("train", 4), ("valid", 1)):
        (tmp_path / folder).mkdir()
        for i in range(count):
            pixels = rng.integers(0, 256, (9, 10, 3), dtype=np.uint8)
            picture = Image.fromarray(pixels).resize((80, 72), Image.Resampling.BICUBIC)
            picture.save(tmp_path / folder / f"{i}.png")
    (tmp_path / "small.yaml").write_text(OVERLAY)
    bundle = ROOT / "bundles" / "natural_sr"
    start = _start(bundle, tmp_path)
    states = {}
    for count in (1, 2):
        files = [bundle / "configs" / "train_gan.yaml", tmp_path / "small.yaml"]
        words = [sys.executable, "-W", "ignore", "-m"]
        if count > 1:
            files.append(bundle / "configs" / "multi_gpu_train.yaml")
            words += ["torch.distributed.run", f"--nproc_per_node={count}", "--standalone", "-m"]
        words += ["monai.bundle", "run", "--bundle_root", str(bundle)]
        words += ["--config_file", str([str(f) for f in files]), "--steps", "6"]
        words += ["--dataset_dir", str(tmp_path / "train"), "--device", "cpu"]
        words += ["--validation_dir", str(tmp_path / "valid"), "--pretrained", str(start)]
        words += ["--output_dir", str(tmp_path / f"run_{count}")]
        if count > 1:
            words.remove("--device")
            words.remove("cpu")
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=300,
            env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "",
                 "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        states[count] = torch.load(tmp_path / f"run_{count}" / "state.pt", weights_only=True)
    first = torch.load(start, weights_only=True)
    for part in ("network", "discriminator", "ema"):
        for name, tensor in states[1][part].items():
            other = states[2][part][name]
            torch.testing.assert_close(other, tensor, rtol=0, atol=1e-4, msg=f"{part}.{name}")
    moved = max(
        float((states[1]["network"][name] - tensor.float()).abs().max())
        for name, tensor in first.items()
    )
    assert moved > 1e-3  # something was trained


def _start(bundle: Path, folder: Path) -> Path:
    """Write the weights that both runs start from."""
    from monai_sr.networks import create_generator

    torch.manual_seed(0)
    network = create_generator(
        "hybrid_cascade", channels=16, num_blocks=2, block="plain", recursions=1
    )
    torch.save(network.state_dict(), folder / "start.pt")
    return folder / "start.pt"
