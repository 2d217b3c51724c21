"""What a keep-list lets through of profiles and reference systems says nothing of a person."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image, ImageCms
from rasterio.crs import CRS

from monai_sr.formats.raster.keep_list import kept_crs, kept_profile, kept_wkt
from tests.image_factory import ROTATED_POLE

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


@pytest.mark.parametrize(
    "text",
    [
        f'PROJCS["{MARK}",GEOGCS["{MARK}",DATUM["{MARK}",SPHEROID["{MARK}",6378137,298.2]],'
        f'PRIMEM["{MARK}",0],UNIT["degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],'
        'PARAMETER["latitude_of_origin",0],PARAMETER["central_meridian",3.5],'
        'PARAMETER["scale_factor",1],PARAMETER["false_easting",500000],'
        f'PARAMETER["false_northing",0],UNIT["{MARK}",1],AXIS["{MARK}",EAST],AXIS["y",NORTH],'
        f'AUTHORITY["{MARK}","7"]]',
        CRS.from_epsg(32631).to_wkt().replace('"WGS 84 / UTM zone 31N"', f'"{MARK}"'),
        f'LOCAL_CS["{MARK}",UNIT["metre",1],AXIS["Easting",EAST],AXIS["Northing",NORTH]]',
        ROTATED_POLE.replace("Rotated_pole", MARK).replace("World Geodetic System 1984", MARK),
        f'{ROTATED_POLE[:-1]},REMARK["{MARK}"]]',
    ],
)
def test_no_name_in_a_reference_system_is_anybody_s(text):
    own = CRS.from_wkt(text)
    kept = kept_crs(own)
    assert MARK not in kept.to_wkt()
    assert MARK not in kept_wkt(text)
    if MARK not in own.to_wkt().partition("DATUM")[2]:
        assert kept == own
    assert kept.to_dict() == own.to_dict()


@pytest.mark.parametrize("code", [3857, 4326, 4267, 7912, 27700, 31467, 32631])
def test_well_known_reference_systems_stay_what_they_are(code):
    known = CRS.from_epsg(code)
    assert kept_crs(known) == known
    for text in (known.to_wkt(), known.to_wkt(version="WKT2_2019")):
        assert CRS.from_wkt(kept_wkt(text)) == CRS.from_wkt(text)


def test_terms_of_proj_stay_and_other_words_within_go():
    text = f'EXTENSION["PROJ4","+proj=merc +nadgrids=@null +title={MARK} +a=6378137 +no_defs"]'
    assert kept_wkt(text) == 'EXTENSION["PROJ4","+proj=merc +nadgrids=@null +a=6378137 +no_defs"]'
