"""Boxes on the ground become windows of pixels."""

from __future__ import annotations

import pytest
from rasterio.transform import from_origin

from monai_sr.core.errors import OptionError
from monai_sr.geometry.geotransform import bbox_slices

TRANSFORM = from_origin(500, 1000, 10, 20)


def test_a_box_covers_the_pixels_that_it_touches():
    columns, rows = bbox_slices("a.tif", [512, 770, 540, 999], TRANSFORM, 99, 99)
    assert (columns, rows) == (slice(1, 4), slice(0, 12))


@pytest.mark.parametrize(
    "bbox", [(540, 800, 520, 830), (520, 830, 540, 800), (520, 800, 520, 830), (520, 800, 540)]
)
def test_a_box_that_does_not_rise_is_refused(bbox):
    with pytest.raises(OptionError, match="left, bottom, right and top, rising"):
        bbox_slices("a.tif", bbox, TRANSFORM, 99, 99)
