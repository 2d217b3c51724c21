"""The scene classification of Sentinel-2 has the colors of its makers."""

from __future__ import annotations

from monai_sr.formats.sentinel2.classes import LEGEND

# Sen2Cor's style of the band SCL, as Sentinel Hub documents it.
COLORS = (
    "000000", "ff0000", "2f2f2f", "643200", "00a000", "ffe65a", "0000ff", "808080", "c0c0c0",
    "ffffff", "64c8ff", "ff96ff",
)  # fmt: skip


def test_each_class_has_its_color():
    assert tuple(bytes(color).hex() for _, color in LEGEND) == COLORS
