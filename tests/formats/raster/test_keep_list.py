"""What a keep-list lets through of profiles and reference systems says nothing of a person."""

from __future__ import annotations

import base64
import io

from PIL import Image, ImageCms
from rasterio.crs import CRS

from monai_sr.formats.raster.keep_list import kept_crs, kept_profile

MARK = "QZXMARKER"


def test_a_known_profile_keeps_its_colors_and_loses_its_texts():
    def text(words, size=13):
        return words.ljust(size, "\0").encode("utf-16-be")

    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    named = plain.replace(text("sRGB built-in"), text("Display P3"))
    marked = named.replace(text("No copyright, use freely"), text(MARK, 24))
    assert text(MARK, 9) in marked
    kept = base64.b64decode(kept_profile(base64.b64encode(marked).decode(), "photo.png"))
    assert text(MARK, 9) not in kept
    image = Image.effect_mandelbrot((40, 30), (-2, -1, 1, 1), 90).convert("RGB")
    profiles = [ImageCms.ImageCmsProfile(io.BytesIO(each)) for each in (marked, kept)]
    lab = ImageCms.createProfile("LAB")
    first, second = (ImageCms.profileToProfile(image, p, lab, outputMode="LAB") for p in profiles)
    assert first.tobytes() == second.tobytes()
    assert ImageCms.getProfileDescription(profiles[1]).startswith("Display P3")


def test_a_reference_system_of_ones_own_goes_without_its_names():
    geographic = CRS.from_epsg(4326).to_wkt().replace("WGS 84", MARK, 1)
    own = CRS.from_wkt(
        f'PROJCS["{MARK}",{geographic},PROJECTION["Transverse_Mercator"],'
        'PARAMETER["central_meridian",15.37],PARAMETER["scale_factor",0.9996],UNIT["metre",1]]'
    )
    assert MARK in own.to_wkt()
    kept = kept_crs(own)
    assert MARK not in kept.to_wkt()
    assert kept.to_dict() == own.to_dict()
    assert kept_crs(CRS.from_epsg(32633)) == CRS.from_epsg(32633)
