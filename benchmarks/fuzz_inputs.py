"""Small files of every format that is read, and damaged copies of them by a seed."""

from __future__ import annotations

import random
import re
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless
from rasterio.errors import NotGeoreferencedWarning
from safetensors.torch import save_file

from tests import dicom_factory
from tests.hostile_factory import attacks, harmless
from tests.image_factory import pixels, write_nifti, write_raster
from tests.robustness.raster_bases import MAKERS, base
from tests.sentinel2_factory import write_product, write_zip

Files = dict[str, bytes]
"""Path within a folder -> content; the first one is damaged, or one that ``_PARTS`` names."""

_SIDE = (3, 9, 7)
# Files of several: which are worth damaging.
_PARTS = {"SAFE": re.compile(r"MTD_MSIL2A\.xml|B0[48]_10m\.jp2|SCL_20m\.jp2")}
_NUMBERS = (0, 1, 2, 7, 0x7F, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_WORDS = (
    "-1", "0", "1e309", "nan", "99999999999999999999", "", "\0", "../../etc/passwd", "%n", "&amp;",
    "é", "\x1b[2J", "=1+1", "/vsicurl/http://127.0.0.1:9/a", "<", '"', "]]>",
)  # fmt: skip


def _photo(kind: str, mode: str, **options: Any) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        image = Image.fromarray(pixels((9, 7, 3))).convert(mode)
        image.save(path, kind, **options)

    return make


def _dicom(syntax: Any = None, **options: Any) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        dicom_factory.write(path, dicom_factory.stored((40, 34)), **options)
        if syntax is not None:
            dataset = dcmread(path)
            dataset.compress(syntax)
            dataset.save_as(path)

    return make


def _weights(path: Path) -> None:
    state = {"a.weight": torch.ones(3, 2, 3, 3), "a.bias": torch.zeros(3)}
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)


_MAKERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "photo.png": ("PNG", _photo("PNG", "RGB")),
    "palette.png": ("PNG", _photo("PNG", "P")),
    "gray.png": ("PNG", lambda p: write_raster(p, pixels(_SIDE[-2:], "uint16")[None])),
    "photo.jpg": ("JPEG", _photo("JPEG", "RGB", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0")),
    "gray.jpg": ("JPEG", _photo("JPEG", "L", progressive=True)),
    "photo.bmp": ("BMP", _photo("BMP", "RGB")),
    "palette.bmp": ("BMP", _photo("BMP", "P")),
    "photo.webp": ("WebP", _photo("WEBP", "RGBA")),
    "photo.gif": ("GIF", _photo("GIF", "P")),
    "a.dcm": ("DICOM", _dicom(**dicom_factory.located())),
    "rle.dcm": ("DICOM", _dicom(RLELossless)),
    "jpeg2000.dcm": ("DICOM", _dicom(JPEG2000Lossless)),
    "jpegls.dcm": ("DICOM", _dicom(JPEGLSLossless)),
    "a.nii": ("NIfTI", write_nifti),
    "a.nii.gz": ("NIfTI", write_nifti),
    "b.nii": ("NIfTI", lambda p: write_nifti(p, version=2, slope=2.0)),
    "a.pt": ("weights", _weights),
    "a.safetensors": ("weights", _weights),
}  # fmt: skip


@cache
def seeds() -> dict[str, tuple[str, Files]]:
    """Return name -> group and files of every whole input."""
    made: dict[str, tuple[str, Files]] = {}
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        folder = Path(place)
        for name, (group, make) in _MAKERS.items():
            make(folder / name)
            made[name] = group, {name: (folder / name).read_bytes()}
        for name in MAKERS:
            group = {".jp2": "JPEG 2000", ".tif": "GeoTIFF"}.get(Path(name).suffix, "raster")
            made[name] = group, base(name)
        product = write_product(folder)
        packed = write_zip(product)
        made["product.zip"] = "zip", {packed.name: packed.read_bytes()}
        made["SAFE"] = "SAFE", _folder(folder, product)
        for number, (name, make) in enumerate(_linking().items()):
            inside = folder / str(number)
            inside.mkdir()
            first = make(inside)
            if first.is_file() and first.stat().st_size < 10**5:
                files = _folder(inside, inside)
                key = str(first.relative_to(inside))
                made[name] = "VRT and links", {key: files.pop(key), **files}
    return made


def _linking() -> dict[str, Callable[[Path], Path]]:
    missing, url = Path("/nonexistent/secret.tif"), "http://127.0.0.1:9"
    return {**harmless(url), **attacks(missing, missing.with_name("victim"), url)}


def _folder(root: Path, folder: Path) -> Files:
    found = sorted(f for f in folder.rglob("*") if f.is_file() and not f.is_symlink())
    return {str(f.relative_to(root)): f.read_bytes() for f in found}


def mutants(count: int, first: int = 0) -> Iterator[tuple[int, str, str, Files]]:
    """Yield number, group, name and files of damaged inputs; the same for the same numbers.

    Args:
        count: how many; groups take turns.
        first: number of the first one.
    """
    groups: dict[str, list[str]] = {}
    for name, (group, _) in seeds().items():
        groups.setdefault(group, []).append(name)
    order = list(groups)
    for number in range(first, first + count):
        source = random.Random(number)
        group = order[number % len(order)]
        name = source.choice(groups[group])
        files = dict(seeds()[name][1])
        wanted = [n for n in files if _PARTS[group].search(n)] if group in _PARTS else [*files][:1]
        if len(files) > 1 and group not in _PARTS and source.random() < 0.2:
            wanted = [*files][1:]  # what lies beside
        part = source.choice(wanted)
        content = files[part]
        for _ in range(source.choice((1, 1, 1, 3))):
            content = _damaged(content, source)
        files[part] = _with_sums(content) if source.random() < 0.7 else content
        yield number, group, name, files


def _with_sums(content: bytes) -> bytes:
    """Correct the checksums of a PNG, so that damage comes further than to them."""
    if not content.startswith(b"\x89PNG"):
        return content
    mended, at = bytearray(content), 8
    while at + 12 <= len(mended):
        size = int.from_bytes(mended[at : at + 4], "big")
        end = at + 8 + size
        if end + 4 > len(mended):
            break
        mended[end : end + 4] = zlib.crc32(mended[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(mended)


def _damaged(content: bytes, source: random.Random) -> bytes:
    is_text = b"\0" not in content[:64] and content[:1] in b"<{E#"
    ways = [_bits, _bits, _number, _number, _number, _fill, _cut, _repeat, _remove]
    return source.choice([_word, _word, *ways] if is_text else ways)(bytearray(content), source)


def _place(content: bytearray, source: random.Random) -> int:
    """Draw a place, most often in the header."""
    most = len(content) if source.random() < 0.4 else min(len(content), 400)
    return source.randrange(most) if most else 0


def _bits(content: bytearray, source: random.Random) -> bytes:
    for _ in range(source.choice((1, 1, 3, 20)) if content else 0):
        content[_place(content, source)] ^= 1 << source.randrange(8)
    return bytes(content)


def _cut(content: bytearray, source: random.Random) -> bytes:
    return bytes(content[: source.randrange(len(content) + 1)])


def _number(content: bytearray, source: random.Random) -> bytes:
    """Write a number that headers cannot mean, of 1 to 8 bytes, in either order."""
    size, at = source.choice((1, 2, 2, 4, 4, 8)), _place(content, source)
    value = source.choice(_NUMBERS) & (2 ** (8 * size) - 1)
    content[at : at + size] = value.to_bytes(size, source.choice(("little", "big")))  # type: ignore[arg-type]
    return bytes(content)


def _fill(content: bytearray, source: random.Random) -> bytes:
    at, size = _place(content, source), source.choice((4, 16, 256))
    fill = source.choice((b"\0", b"\xff", b"A", source.randbytes(1)))
    content[at : at + size] = fill * min(size, len(content) - at)
    return bytes(content)


def _repeat(content: bytearray, source: random.Random) -> bytes:
    at, size = _place(content, source), source.randrange(1, 300)
    content[at:at] = content[at : at + size] * source.choice((1, 2, 30))
    return bytes(content)


def _remove(content: bytearray, source: random.Random) -> bytes:
    at = _place(content, source)
    del content[at : at + source.choice((1, 2, 40))]
    return bytes(content)


def _word(content: bytearray, source: random.Random) -> bytes:
    """Put another word in place of a number or a name."""
    found = list(re.finditer(rb"[\w.+-]+", content))
    if not found:
        return bytes(content)
    match = source.choice(found)
    content[match.start() : match.end()] = source.choice(_WORDS).encode()
    return bytes(content)
