"""Damaged rasters: cut, with flipped bits, with tags, headers and sidecars that cannot be true."""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.robustness.raster_bases import MAKERS, base, entries, with_tag
from tests.robustness.runner import Case

Files = dict[str, bytes]  # the raster first, then what lies beside it
_HEADER = 700


def raster_mutants(folder: Path, step: int = 1) -> Iterator[Case]:
    """Write one damaged raster after another; each is removed when the next is asked for.

    Args:
        folder: where they lie.
        step: only every so many of each group.
    """
    groups = {
        "whole": _whole, "cut off": _cut, "bits of header": _flipped_header, "bits": _flipped,
        "TIFF tags": _tags, "TIFF structure": _structure, "VRT": _vrt, "sidecars": _sidecars,
        "ENVI": _envi, "JPEG 2000": _jpeg2000,
    }  # fmt: skip
    for group, makes in groups.items():
        for number, files in enumerate(itertools.islice(makes(), 0, None, step)):
            place = folder / f"{group.replace(' ', '_')}_{number:03d}"
            place.mkdir()
            for name, content in files.items():
                (place / name).write_bytes(content)
            yield Case(group, place / next(iter(files)), is_mutant=group != "whole")
            for path in place.iterdir():
                path.unlink()
            place.rmdir()


def _whole() -> Iterator[Files]:
    for name in MAKERS:
        yield base(name)


def _cut() -> Iterator[Files]:
    for name, share in itertools.product(MAKERS, (0.02, 0.4, 0.97)):
        content = base(name)[name]
        yield {**base(name), name: content[: int(share * len(content))]}


def _flipped_header() -> Iterator[Files]:
    return _flips(3, 4, _HEADER)


def _flipped() -> Iterator[Files]:
    return _flips(2, 10, 10**9)


def _flips(times: int, count: int, within: int) -> Iterator[Files]:
    for name, seed in itertools.product(MAKERS, range(times)):
        raw = bytearray(base(name)[name])
        rng = np.random.default_rng([zlib.crc32(name.encode()), seed, count])
        for position in rng.integers(0, min(within, len(raw)), count):
            raw[position] ^= 1 << int(rng.integers(8))
        yield {**base(name), name: bytes(raw)}


_NAN, _INF = struct.pack("<d", np.nan), struct.pack("<d", np.inf)
_MOST = 2**32 - 1
# Tag numbers of TIFF 6.0, GeoTIFF 1.1 and GDAL -> values that they cannot have here.
_VALUES = {
    256: (0, 1, 3000, ("long", 2**31 - 1)), 257: (0, 7, 3000, ("long", 2**31 - 1)),  # sizes
    258: (0, 1, 7, 64, 65535), 259: (0, 1, 5, 7, 8, 34712, 34887, 50000, 65000),  # compression
    262: (0, 3, 5, 6, 99), 273: (0, _MOST, 9), 279: (0, 1, _MOST),  # photometric, strips
    274: (0, 6, 99), 277: (0, 1, 4, 255, 65535), 278: (0, 1, 2**31), 284: (0, 2, 9),  # samples
    317: (0, 3, 99), 320: (("tag", 60000),), 338: (0, 1, 2, 99), 339: (0, 3, 5, 6, 99),
    322: (0, 7, 16, 2**15), 323: (0, 7, 2**15), 324: (0, _MOST), 325: (0, 1, _MOST),  # tiles
    34264: (_NAN * 16, _INF * 16, bytes(128), ("count", 3)),  # model transformation
    33922: (_NAN * 6, ("count", 2**30)), 34735: (b"\xff" * 20, ("count", 2**30)),  # keys
    34737: (b"\xff" * 9,), 42112: (b"<GDALMetadata><Item>", b"\xff" * 20),
    42113: (b"nan\0", b"1e400", b"abc\0", b"inf\0"),  # nodata
}  # fmt: skip


def _tags() -> Iterator[Files]:
    for name in ("strips.tif", "tiles.tif", "palette.tif", "points.tif", "alpha.tif", "nodata.tif"):
        content = base(name)[name]
        for tag in entries(content):
            for value in _VALUES.get(tag, ()):
                changed = with_tag(content, tag, value)
                # Of half a pixel in a compressed tile libtiff gives other values each time.
                is_random = (name, tag, value) == ("tiles.tif", 277, 1)
                if changed != content and not is_random:
                    yield {name: changed}


def _structure() -> Iterator[Files]:
    """Directories that begin nowhere, loop, or claim more than there is; values far away."""
    for name in ("strips.tif", "tiles.tif", "mask.tif"):
        content = base(name)[name]
        (start,) = struct.unpack_from("<L", content, 4)
        (count,) = struct.unpack_from("<H", content, start)
        for offset in (0, 4, 9, len(content) - 1, len(content) + 100, _MOST):
            yield {name: content[:4] + struct.pack("<L", offset) + content[8:]}
        last = start + 2 + 12 * count
        for following in (start, 8, len(content) - 3, _MOST):
            yield {name: content[:last] + struct.pack("<L", following) + content[last + 4 :]}
        for number in (0, 3, 65535):
            yield {name: content[:start] + struct.pack("<H", number) + content[start + 2 :]}
        for tag, field, value in itertools.product(
            (258, 273, 279, 324, 325), ("count", "type", "values"), (0, 99, 2**31)
        ):
            if tag in entries(content) and not (field == "type" and value > 65535):
                yield {name: with_tag(content, tag, (field, value))}
        yield {name: b"MM" + content[2:]}
        yield {name: content[:2] + b"\x2b" + content[3:]}
        yield {name: content + b"\xff" * 1000}


def _vrt() -> Iterator[Files]:
    head = "<VRTDataset rasterXSize='{x}' rasterYSize='{y}'>{more}"
    band = "<VRTRasterBand dataType='{t}' band='1'>{s}</VRTRasterBand></VRTDataset>"
    simple = (
        "<SimpleSource><SourceFilename relativeToVRT='1'>{f}</SourceFilename>"
        "<SourceBand>{b}</SourceBand></SimpleSource>"
    )

    def made(
        x: object = 50, y: object = 70, t: str = "Byte", f: str = "strips.tif", b: object = 1,
        more: str = "", s: str | None = None,
    ) -> Files:  # fmt: skip
        source = simple.format(f=f, b=b) if s is None else s
        text = head.format(x=x, y=y, more=more) + band.format(t=t, s=source)
        return {"a.vrt": text.encode(), **base("strips.tif")}

    place = "<GeoTransform>{}</GeoTransform>"
    yield made()
    for name in ("a.vrt", "none.tif", "", ".", "/dev/zero", "/vsicurl/", "a.vrt.aux.xml"):
        yield made(f=name)
    yield {**made(f="b.vrt"), "b.vrt": made(f="a.vrt")["a.vrt"]}
    for size in (0, -1, 10**9, 2**31 - 1, "x", "1e9"):
        yield made(x=size)
        yield made(x=size, y=size)
    for number in (0, 9, -1, "x"):
        yield made(b=number)
    for kind in ("Nothing", "CFloat32", "Float64", "Int8", "UInt64", ""):
        yield made(t=kind)
    for terms in ("0, 0, 0, 0, 0, 0", "nan, 1, 0, 0, 0, 1", "0, 1e400, 0, 0, 0, 1", "1, 2", "a"):
        yield made(more=place.format(terms))
    yield made(more="<SRS>EPSG:999999</SRS>")
    yield made(more="<SRS>" + "x" * 10**6 + "</SRS>")
    for nodata in ("nan", "1e400", "-1", "300", "x", "0.5"):
        yield made(s=f"<NoDataValue>{nodata}</NoDataValue>" + simple.format(f="strips.tif", b=1))
    yield made(s="")
    yield made(s="<ColorInterp>Palette</ColorInterp>" + simple.format(f="strips.tif", b=1))
    yield made(s="<ColorInterp>Alpha</ColorInterp>" + simple.format(f="strips.tif", b=1))
    yield made(s="<x>" * 5000)
    mask = "<MaskBand><VRTRasterBand dataType='Byte'>{}</VRTRasterBand></MaskBand>"
    yield made(more=mask.format(simple.format(f="a.vrt", b="mask,1")))
    yield made(more=mask.format(simple.format(f="none.tif", b=1)))
    points = "<GCP Id='' Pixel='1' Line='1' X='{0}' Y='{0}'/>" * 3
    for value in ("nan", "1e400", "x", "0"):
        yield made(more=f"<GCPList Projection='EPSG:4326'>{points.format(value)}</GCPList>")
    python = (
        "<PixelFunctionType>f</PixelFunctionType><PixelFunctionLanguage>Python"
        "</PixelFunctionLanguage><PixelFunctionCode>def f(*a): 1/0</PixelFunctionCode>"
    )
    band_of = b"<VRTRasterBand subClass='VRT%sRasterBand'"
    derived = made(s=python)["a.vrt"].replace(b"<VRTRasterBand", band_of % b"Derived")
    yield {"a.vrt": derived}
    raw = made(s="<SourceFilename relativeToVRT='1'>strips.tif</SourceFilename>"
                 "<ImageOffset>99999999999</ImageOffset>")["a.vrt"]  # fmt: skip
    raw = raw.replace(b"<VRTRasterBand", band_of % b"Raw")
    yield {"a.vrt": raw, **base("strips.tif")}
    yield {"a.vrt": b"<VRTDataset"}
    yield {"a.vrt": _bomb(b"<VRTDataset rasterXSize='5' rasterYSize='5'>&j;</VRTDataset>")}
    many = made()["a.vrt"].decode()
    body = many[many.index("<VRTRasterBand") : many.index("</VRTDataset>")]
    yield {"a.vrt": many.replace(body, body * 300).encode(), **base("strips.tif")}


def _bomb(document: bytes) -> bytes:
    """Return XML whose entities grow to 10^9 characters."""
    steps = "".join(f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in itertools.pairwise("abcdefghij"))
    return f"<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>{steps}]>".encode() + document


def _sidecars() -> Iterator[Files]:
    tif, png = base("strips.tif"), base("world.png")
    point = "<GCP Id='{0}' Pixel='{0}' Line='1' X='{0}' Y='5'/>"
    huge = "".join(point.format(i) for i in range(100_000))
    colors = "<Entry c1='1' c2='2' c3='3' c4='255'/>" * 100_000
    band = "<PAMRasterBand band='{}'>{}</PAMRasterBand>"
    for inner in (
        "", "<x>", "</PAMDataset>", "&j;", f"<GCPList Projection='EPSG:4326'>{huge}</GCPList>",
        "<GeoTransform>0,0,0,0,0,0</GeoTransform>", "<GeoTransform>nan,1,0,0,0,1</GeoTransform>",
        "<GeoTransform>x</GeoTransform>", "<SRS>nothing</SRS>",
        band.format(1, "<NoDataValue>nan</NoDataValue>"),
        band.format(1, "<NoDataValue>1e400</NoDataValue>"),
        band.format(99, "<NoDataValue>5</NoDataValue>"),
        band.format(-1, "<NoDataValue>5</NoDataValue>"),
        band.format(1, "<ColorInterp>Palette</ColorInterp>"),
        band.format(1, f"<ColorInterp>Palette</ColorInterp><ColorTable>{colors}</ColorTable>"),
        band.format(1, "<Scale>nan</Scale><Offset>inf</Offset>"),
        "<Metadata domain='RPC'><MDI key='LINE_OFF'>x</MDI></Metadata>",
        "<Metadata><MDI key='EXIF_Orientation'>99999</MDI></Metadata>",
        "<Metadata><MDI key='EXIF_Orientation'>six</MDI></Metadata>",
        "<Metadata><MDI key='NODATA_VALUES'>1 2</MDI></Metadata>",
        "<Metadata domain='IMAGE_STRUCTURE'><MDI key='NBITS'>x</MDI></Metadata>",
        band.format(1, "<Metadata domain='IMAGE_STRUCTURE'><MDI key='NBITS'>99</MDI></Metadata>"),
        band.format(1, "<Metadata domain='IMAGE_STRUCTURE'><MDI key='NBITS'>x</MDI></Metadata>"),
        f"<Metadata><MDI key='{'k' * 10**5}'>{'v' * 10**6}</MDI></Metadata>",
        "<Metadata><MDI key='TIFFTAG_XRESOLUTION'>nan dpi</MDI></Metadata>",
        "<Metadata><MDI key='TIFFTAG_XRESOLUTION'>many</MDI></Metadata>",
    ):  # fmt: skip
        document = f"<PAMDataset>{inner}</PAMDataset>".encode()
        document = _bomb(document) if "&j;" in inner else document
        yield {**tif, "strips.tif.aux.xml": document}
        yield {"world.png": png["world.png"], "world.png.aux.xml": document}
    mask = base("tiles.tif")["tiles.tif"]
    for ending, content in itertools.product((".msk", ".ovr"), (b"", b"x", mask, mask[:300])):
        yield {**tif, f"strips.tif{ending}": content}
    for world in ("", "x", "nan\n" * 6, "0\n" * 6, "1e400\n" * 6, "30\n0\n0\n", "1\n" * 10**5):
        yield {"world.png": png["world.png"], "world.pgw": world.encode()}
    for text in ("PROJCS[", "x" * 10**6, 'LOCAL_CS["x"]'):
        yield {**png, "world.prj": text.encode()}


def _envi() -> Iterator[Files]:
    header, data = base("envi.dat")["envi.hdr"].decode(), base("envi.dat")["envi.dat"]
    lines = dict(line.split("=", 1) for line in header.splitlines() if "=" in line)
    names = {key.strip(): key for key in lines}
    for field, values in {
        "samples": ("0", "-5", "49", "1000000000", "x"), "lines": ("0", "71", "2147483647"),
        "bands": ("0", "1", "4", "1000000", "x"), "data type": ("0", "1", "5", "6", "99", "x"),
        "header offset": ("-1", "1", "99999999999", "x"), "byte order": ("1", "9"),
        "interleave": ("bil", "bip", "strange"),
        "map info": ("{UTM, 1, 1, nan, nan, 0, 0, 33, North}", "{", "{x}", "{UTM,1,1,0,0,30,30}"),
        "coordinate system string": ("{PROJCS[}", "{" + "x" * 10**6 + "}"),
        "band names": ("{" + "a," * 10**5 + "}", "{"),
    }.items():  # fmt: skip
        for value in values:
            key = names.get(field, field + " ")
            text = "\n".join(
                ["ENVI"] + [f"{k}={v}" for k, v in {**lines, key: f" {value}"}.items()]
            )
            yield {"envi.dat": data, "envi.hdr": text.encode()}
    yield {"envi.dat": data}
    yield {"envi.dat": data[:-1], "envi.hdr": header.encode()}
    yield {"envi.dat": data, "envi.hdr": b"ENVI\n"}
    yield {"envi.dat": data, "envi.hdr": b"\xff" * 1000}


def _jpeg2000() -> Iterator[Files]:
    """Sizes of image and tiles, parts, depth and number of components that are not so."""
    whole = base("wavelet.jp2")["wavelet.jp2"]
    at, box = whole.index(b"\xff\x4f\xff\x51") + 8, whole.index(b"ihdr") + 4
    for offset, value in itertools.product(
        (0, 4, 8, 12, 16, 20, 24), (0, 1, 65535, 2**31 - 1, _MOST)
    ):
        yield {"a.jp2": whole[: at + offset] + struct.pack(">L", value) + whole[at + offset + 4 :]}
    for offset, value in itertools.product((0, 4), (0, 65535, _MOST)):
        yield {
            "a.jp2": whole[: box + offset] + struct.pack(">L", value) + whole[box + offset + 4 :]
        }
    for offset in range(32, 42):
        yield {"a.jp2": whole[: at + offset] + b"\xff" + whole[at + offset + 1 :]}
    yield {"a.jp2": whole.replace(b"GeoJP2", b"GeoJPx").replace(b"II*\0", b"II*\xff")}
    yield {"a.jp2": whole.replace(b"II*\0\x08\0\0\0", b"II*\0\xff\xff\xff\xff")}
