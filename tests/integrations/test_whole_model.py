"""A compiled model gives what the tiled inferer gives: sizes, tiles, limits, back-projection."""

from __future__ import annotations

import pytest
import torch

from monai_sr import SuperResolver
from monai_sr.integrations.whole_model import WholeModel

# Float32 sums in another order; 20 times what was measured (2e-6) is still a hundredth of a step.
_TOLERANCE = 4e-5


def _pair(name: str, scale: int, *, is_bounded: bool = True):
    resolver = SuperResolver(name, device="cpu", scale=scale, runtime="torch", precision="float32")
    inferer = resolver.inferer
    inferer.clip = (0.0, 1.0) if is_bounded else None
    whole = WholeModel(
        resolver.network,
        scale,
        steps=inferer.consistency,
        overshoot=inferer.overshoot,
        is_bounded=is_bounded,
        core=16,
    )
    return torch.jit.script(whole.eval()), lambda image: inferer(image, resolver.network)


def _image(channels: int, *sides: int) -> torch.Tensor:
    image = torch.rand(1, channels, *sides)
    image[..., : sides[1] // 2] = (image[..., : sides[1] // 2] > 0.5).float()  # hard edges
    return image


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("name", ["natural_sr:fast", "xray_sr", "mri_sr:fast"])
def test_a_compiled_model_equals_the_tiled_inferer(name: str, scale: int) -> None:
    script, expected = _pair(name, scale)
    channels = 3 if name.startswith("natural") else 1
    for sides in ((35, 20), (1, 1), (2, 5)):
        image = _image(channels, *sides)
        with torch.inference_mode():
            result = script(image)
            assert result.shape == (1, channels, *(scale * side for side in sides))
            torch.testing.assert_close(result, expected(image), rtol=0, atol=_TOLERANCE)


def test_what_lies_outside_the_range_is_interpolated() -> None:
    script, expected = _pair("mri_sr:fast", 2, is_bounded=False)
    image = _image(1, 12, 9)
    image[..., 3:5, 3:5] = 4.0
    image[..., 8, 2] = -2.0
    with torch.inference_mode():
        torch.testing.assert_close(script(image), expected(image), rtol=0, atol=_TOLERANCE)


def test_slices_of_a_volume_are_enlarged_one_by_one() -> None:
    script, expected = _pair("mri_sr:fast", 2)
    volume = torch.rand(1, 1, 7, 6, 3)
    with torch.inference_mode():
        result = script(volume)
        assert result.shape == (1, 1, 14, 12, 3)
        for z in range(3):
            slice_result = expected(volume[..., z])
            torch.testing.assert_close(result[..., z], slice_result, rtol=0, atol=_TOLERANCE)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (torch.full((1, 1, 4, 4), 1.5), "give the range of its stored values"),
        (torch.full((1, 1, 4, 4), torch.nan), "must be finite"),
        (torch.zeros(1, 1, 4, 4, 2, 2), "must have axes"),
    ],
)
def test_an_image_that_cannot_be_meant_is_refused(image: torch.Tensor, words: str) -> None:
    script, _ = _pair("xray_sr:fast", 2)
    with pytest.raises(torch.jit.Error, match=words):
        script(image)
