"""docs/how-to/train.md is true: its commands are understood and run, its handlers work."""

from __future__ import annotations

import csv
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import monai.handlers
import pytest
import torch
from monai.bundle import ConfigParser
from monai.engines import SupervisedEvaluator
from monai.handlers import PeakSignalToNoiseRatio, ValidationHandler, from_engine
from rasterio.transform import Affine

from monai_sr import hook
from monai_sr.cli import main as cli
from monai_sr.core.options import EVALUATE, TRAIN, UPSCALE
from monai_sr.core.registry import find_bundle
from monai_sr.networks import create_generator, create_network, load_weights
from monai_sr.training import ReadTrainingImage, step_scalars, training_split
from monai_sr.training.training_images import first_file
from tests.dicom_factory import write_series
from tests.docs.pages import run, sections, write_photos, write_volumes
from tests.image_factory import pixels, write_nifti, write_raster
from tests.training.test_adversarial import Batches, trainer

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "train.md"
SECTIONS = sections(PAGE)
COMMANDS = [
    command
    for blocks in SECTIONS.values()
    for block in blocks
    if block.kind == "bash"
    for command in block.commands
]
PAIR = from_engine(["pred", "label"])


def small(command: str) -> str:
    """Give a command of the page a budget of steps."""
    has_two_stages = "--stages 2" in command or "train_gan" in command
    budget = "--steps 2 --stage_1_steps 2" if has_two_stages else "--steps 2"
    return command.replace("--minutes 60", budget)


def write_scans(folder: Path) -> None:
    """Write what the page's table names: two volumes and a series, one of them for tests."""
    for name in ("sub-01", "sub-02"):
        (folder / name).mkdir(parents=True)
        write_nifti(folder / name / "t1.nii.gz", pixels((208, 200, 3), "int16"))
    write_series(folder / "sub-03" / "series-7")


def write_scenes(folder: Path) -> None:
    """Write what the page's second table names: one ground in two years, and another."""
    folder.mkdir()
    for name, west in (("m_2016", 485_900), ("m_2018", 485_900), ("lake", 600_000)):
        write_raster(
            folder / f"{name}.tif",
            pixels((4, 362, 467), "uint16"),
            crs="EPSG:26914",
            transform=Affine(10, 0, west, 0, -10, 5_209_250),
        )


def test_the_pages_table_splits_by_place(workplace):
    write_scenes(workplace / "scenes")
    train, held = training_split("scenes", None, 0.0, "places.csv")
    assert [str(first_file(part)) for part in train] == ["scenes/m_2016.tif", "scenes/m_2018.tif"]
    assert [str(part) for part in held] == ["scenes/lake.tif"]
    assert {image.shape for part in train for image in ReadTrainingImage(3)(part)} == {
        (3, 271, 215)
    }


def test_the_pages_table_splits_by_patient(workplace):
    write_scans(workplace / "scans")
    train, held = training_split("scans", None, 0.0, "scans.csv")
    assert [str(part) for part in (*train, *held)] == [
        "scans/sub-01/t1.nii.gz", "scans/sub-02/t1.nii.gz",
    ]  # fmt: skip


@pytest.fixture
def workplace(tmp_path, monkeypatch, repo_root):
    """Return a folder like a checkout, with the page's files."""
    for block in (block for blocks in SECTIONS.values() for block in blocks):
        if block.file:
            (tmp_path / block.file).write_text(block.text)
    for name in ("bundles", "configs"):
        (tmp_path / name).symlink_to(repo_root / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_pages_start_fits_the_fast_size(workplace):
    (block,) = (b for b in SECTIONS["A fast model and its teacher"] if b.kind == "python")
    exec(compile(block.text, str(PAGE), "exec"), {})
    definition = ConfigParser.load_config_file("bundles/natural_sr/configs/inference.yaml")
    assert isinstance(definition, dict)
    options = {**definition["network_def"], "spatial_dims": 2, "size": "fast", "system": None}
    options |= {"start": "start.pt"}
    network = create_network(**{k: v for k, v in options.items() if k != "_target_"})
    load_weights(network, "start.pt")


def test_a_reshaped_start_brings_its_sizes(workplace):
    (block,) = (b for b in SECTIONS["Another width and depth"] if b.kind == "python")
    exec(compile(block.text, str(PAGE), "exec"), {})
    network = create_network(
        "hybrid_cascade", in_channels=3, block="plain", recursions=1, start="start.pt"
    )
    load_weights(network, "start.pt")
    assert (network.head.out_channels, len(network.blocks)) == (48, 14)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_known(workplace, command, monkeypatch):
    words = shlex.split(command)
    if words[0] == "monai-sr":
        assert cli._parser().parse_known_args(words[1:])[1] == []
    else:
        start = words.index("monai.bundle")
        hook.check_options(words[start + 1 :])  # reads the files, too


def test_options_in_the_text_are_known():
    text = re.sub(r"^```.*?^```$", "", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"--([a-z_#1]+)", text)) - {"help", "logdir"}
    of_bundles = {key for file in ("train", "train_gan") for key in _entries(file)}
    short = {option.name for command in (UPSCALE, TRAIN, EVALUATE) for option in command}
    assert {name for name in named if name.split("#")[0] not in short | of_bundles} == set()


def _entries(file: str) -> dict[str, object]:
    content = ConfigParser.load_config_file(find_bundle("natural_sr") / "configs" / f"{file}.yaml")
    assert isinstance(content, dict)
    return content


def evaluator():
    batches = iter(Batches())
    return SupervisedEvaluator(
        device="cpu",
        val_data_loader=[next(batches) for _ in range(2)],
        network=torch.nn.Upsample(scale_factor=2),
        key_val_metric={"psnr": PeakSignalToNoiseRatio(1.0, output_transform=PAIR)},
        decollate=False,
    )


LEAVES = {
    "CheckpointSaver": "g_final*.pt",
    "LogfileHandler": "*.txt",
    "MetricsSaver": "metrics.csv",
    "TensorBoardStatsHandler": "events*",
    "TensorBoardImageHandler": "events*",
}
HANDLERS = {
    "ValidationHandler": lambda make, _: ValidationHandler(interval=1, validator=evaluator()),
    "CheckpointSaver": lambda make, engine: make(
        ".", {"g": engine.state.g_network}, save_final=True
    ),
    "CheckpointLoader": lambda make, engine: make(
        _saved(engine), {"g": engine.state.g_network}, strict=True
    ),
    "GarbageCollector": lambda make, _: make("iteration"),
    "EarlyStopHandler": lambda make, engine: make(
        2, lambda state: 0.0, trainer=engine, epoch_level=False
    ),
    "LogfileHandler": lambda make, _: make("."),
    "MetricsSaver": lambda make, _: make("."),
    "PostProcessing": lambda make, _: make(lambda sample: sample),
    "StatsHandler": lambda make, _: make(output_transform=step_scalars),
    "MetricLogger": lambda make, _: make(loss_transform=lambda output: output["loss"].item()),
    "TensorBoardStatsHandler": lambda make, _: make(
        log_dir=".", output_transform=step_scalars, iteration_log=True
    ),
    "TensorBoardImageHandler": lambda make, _: make(
        log_dir=".",
        batch_transform=from_engine(["image", "label"]),
        output_transform=from_engine(["pred"]),
        epoch_level=False,
        interval=1,
    ),
    "LrScheduleHandler": lambda make, engine: make(
        torch.optim.lr_scheduler.StepLR(engine.state.g_optimizer, 1, 0.5), epoch_level=False
    ),
}


def _saved(engine) -> str:
    torch.save({"g": engine.state.g_network.state_dict()}, "saved.pt")
    return "saved.pt"


def test_handlers_of_the_page_are_those_tried_here():
    table = PAGE.read_text().split("| handler | with `SRAdversarialTrainer` |")[1].split("\n\n")[0]
    named = {
        n
        for line in table.splitlines()[2:]
        for n in re.findall(r"`([A-Z]\w+)`", line.split("|")[1])
    }
    # MLflow is an extra; its own test is that of the bundle's entry.
    assert named - {"MLFlowHandler"} == set(HANDLERS)


# MONAI passes them to ignite by their old names.
@pytest.mark.filterwarnings("ignore:'(min|cumulative)_delta' is deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", HANDLERS)
def test_stock_handler_works_with_the_gan_trainer(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    engine, *_ = trainer(
        steps=4, key_train_metric={"psnr": PeakSignalToNoiseRatio(1.0, output_transform=PAIR)}
    )
    HANDLERS[name](getattr(monai.handlers, name), engine).attach(engine)
    engine.run()
    if name == "EarlyStopHandler":
        assert engine.state.iteration == 3  # the score never rises: patience is two steps
        return
    assert engine.state.iteration == 4
    assert engine.state.metrics["psnr"] > 0
    assert list(tmp_path.glob(LEAVES[name])) if name in LEAVES else True
    rate = engine.state.g_optimizer.param_groups[0]["lr"]
    assert rate == (0.1 * 0.5**4 if name == "LrScheduleHandler" else 0.1)


def test_handler_of_ones_own_joins_those_of_the_bundle(workplace):
    write_photos(workplace / "photos")
    (block,) = [b for b in SECTIONS["MONAI's handlers"] if b.kind == "bash"]
    sizes = {"channels": 8, "num_blocks": 1}
    network = create_generator("hybrid_cascade", block="plain", recursions=1, **sizes)
    torch.save(network.state_dict(), "start.pt")
    ours = " ".join(f"--network_def#{key} {value}" for key, value in sizes.items())
    ours += " --patch_size 16 --batch_size 2 --pretrained start.pt --device cpu"
    run(block, lambda command: f"{small(command)} {ours}")
    assert list(Path("runs/epochs/epochs").glob("*epoch=1.pt"))


@pytest.mark.slow
def test_the_whole_page_works_in_a_shell(workplace):
    """As a user types it: real processes, whole networks, a few steps."""
    write_photos(workplace / "photos", (224, 208))
    write_scans(workplace / "scans")
    write_scenes(workplace / "scenes")
    write_volumes(workplace / "volumes")
    has_mlflow = importlib.util.find_spec("mlflow") is not None
    script = [small(c) for c in COMMANDS if has_mlflow or "--mlflow" not in c]
    done = subprocess.run(
        ["bash", "-c", "\n".join(["set -e", *script])], capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
             "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    with Path("runs/gan/curve.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert {"psnr", "pixel", "perceptual", "adversarial", "real", "fake"} <= set(row)
    for folder in ("runs/many", "runs/gan"):
        assert {"stage_1", "model.pt", "state.pt", "images", "tensorboard"} <= {
            f.name for f in Path(folder).iterdir()
        }
