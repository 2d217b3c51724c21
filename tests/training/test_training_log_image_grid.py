"""The strip shows bicubic, result and reference of the same place, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from PIL import Image
from torch import nn

from monai_sr.core.errors import OutputError
from monai_sr.functional.resize import upsample
from monai_sr.training import ImageGrid, list_images


class Repeat(nn.Module):
    """Repeats pixels; what it was called with is noted."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.modes = []

    def forward(self, image, scale=None):
        self.modes.append((self.training, torch.is_grad_enabled()))
        return self.weight * image.repeat_interleave(scale, 2).repeat_interleave(scale, 3)


def sample(height, width, channels=3, scale=2, seed=0):
    random = torch.Generator().manual_seed(seed)
    hr = torch.rand(channels, height * scale, width * scale, generator=random)
    # Each small pixel says where it lies.
    lr = torch.arange(height * width).reshape(1, height, width) / (height * width)
    return {"image": lr.expand(channels, -1, -1).contiguous(), "label": hr}


def as_bytes(image):
    return (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


@pytest.mark.parametrize("channels", [1, 3])
def test_row_is_bicubic_then_result_then_reference(channels, tmp_path):
    one = sample(6, 5, channels)
    picture = np.asarray(ImageGrid(Repeat(), [one], tmp_path, scale=2).draw())
    repeated = one["image"].repeat_interleave(2, 1).repeat_interleave(2, 2)
    cells = [upsample(one["image"], 2), repeated, one["label"]]
    expected = np.hstack([as_bytes(cell.expand(3, -1, -1)) for cell in cells])
    assert picture.shape == (12, 30, 3)
    np.testing.assert_array_equal(picture, expected)


@pytest.mark.parametrize(
    ("side", "rows", "columns"),
    [(8, slice(2, 6), slice(3, 7)), (10, slice(1, 6), slice(2, 7)), (9, slice(2, 6), slice(3, 7))],
)
def test_crop_is_the_middle_and_all_cells_show_the_same_place(side, rows, columns, tmp_path):
    one = sample(8, 10)
    picture = np.asarray(ImageGrid(Repeat(), [one], tmp_path, scale=2, side=side).draw())
    lr = one["image"][:, rows, columns]
    hr = one["label"][:, 2 * rows.start : 2 * rows.stop, 2 * columns.start : 2 * columns.stop]
    width = hr.shape[-1]
    assert picture.shape[1] == 3 * width
    np.testing.assert_array_equal(picture[::2, width : 2 * width : 2], as_bytes(lr))
    np.testing.assert_array_equal(picture[:, 2 * width :], as_bytes(hr))


def test_images_of_several_sizes_are_rows_and_no_more_than_wanted(tmp_path):
    images = [sample(4, 5), sample(7, 3), sample(6, 6)]
    picture = np.asarray(ImageGrid(Repeat(), images, tmp_path, scale=2, count=2).draw())
    assert picture.shape == (8 + 14, 30, 3)
    assert not picture[8:, 18:].any()  # the narrow row is filled with black
    more = np.asarray(ImageGrid(Repeat(), images, tmp_path, scale=2, count=9).draw())
    assert more.shape[0] == 8 + 14 + 12


@pytest.mark.parametrize("is_training", [True, False])
def test_network_is_judged_in_eval_mode_and_left_as_it_was(is_training, tmp_path):
    network = Repeat().train(is_training)
    ImageGrid(network, [sample(4, 4)], tmp_path, scale=2).draw()
    assert network.modes == [(False, False)]
    assert network.training is is_training


def test_strip_is_written_at_intervals_and_at_the_end(tmp_path):
    engine = Engine(lambda engine, batch: None)
    folder = tmp_path / "run" / "images"
    ImageGrid(Repeat(), [sample(4, 4)], folder, scale=2, every=2).attach(engine)
    engine.run([0], max_epochs=5)
    names = [f"step_{step:06d}.png" for step in (2, 4, 5)]
    assert sorted(p.name for p in folder.iterdir()) == names
    with Image.open(folder / names[0]) as strip:
        assert (strip.format, strip.mode, strip.size) == ("PNG", "RGB", (24, 8))


def test_result_beyond_black_and_white_is_clipped(tmp_path):
    network = Repeat()
    network.weight.data.fill_(-2.0)
    picture = np.asarray(ImageGrid(network, [sample(4, 4)], tmp_path, scale=2).draw())
    assert not picture[:, 8:16].any()


def test_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    grid = ImageGrid(Repeat(), [sample(4, 4)], tmp_path / "file" / "images", scale=2)
    with pytest.raises(OutputError, match="images"):
        grid(Engine(lambda engine, batch: None))


def test_without_validation_images_nothing_is_drawn(tmp_path):
    engine = Engine(lambda *_: None)
    ImageGrid(Repeat(), [], tmp_path / "images", scale=2, every=1).attach(engine)
    engine.run([0, 1], max_epochs=1)
    assert not (tmp_path / "images").exists()


def test_a_strip_is_no_image_to_learn_from(tmp_path):
    """A run below its images learned strips, which show validation images, when it went on."""
    ImageGrid(Repeat(), [sample(6, 5)], tmp_path / "run", scale=2)(Engine(lambda *_: None))
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    assert len(list(tmp_path.rglob("*.png"))) == 2
    assert list_images(tmp_path) == [tmp_path / "photo.png"]
