"""Files at addresses give what the same files give on this machine, and show no secret."""

from __future__ import annotations

import logging
import zipfile
from contextlib import suppress

import pytest
import yaml

from monai_sr.cli.main import main
from monai_sr.core import BadImageError
from monai_sr.formats.raster.vsi import VsiError, look
from monai_sr.upscaling.far_inputs import FarInputs
from monai_sr.upscaling.inputs import find_inputs
from monai_sr.upscaling.scene_blocks import TileBlocks
from monai_sr.upscaling.temporary import Archives
from tests.image_factory import pixels, write_nifti, write_raster
from tests.network_factory import tiny_bundle
from tests.scene_factory import smooth, write_scene
from tests.web import serving

SECRET = "geheim"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Return a tiny bundle with small tiles."""
    folder = tiny_bundle(tmp_path_factory.mktemp("bundle"))
    config = folder / "configs" / "inference.yaml"
    content = {**yaml.safe_load(config.read_text()), "tile_size": 64}
    config.write_text(yaml.safe_dump(content, sort_keys=False))
    return folder


@pytest.fixture
def web(monkeypatch):
    """Serve on loopback; a lost connection is not tried again."""
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    with serving() as found:
        yield found


def upscale(source, out, bundle, *more):
    arguments = ["upscale", str(source), "-o", str(out), "--bundle", str(bundle)]
    return main([*arguments, "--device", "cpu", *map(str, more)])


def signed(web, path):
    return f"{web.url.replace('://', '://me:geheim@')}{path}?token=geheim"


def everything_in(folder):
    return b"".join(f.read_bytes() for f in folder.rglob("*") if f.is_file())


@pytest.mark.parametrize("limit", [64, 0])
def test_a_scene_at_an_address_gives_the_bytes_of_the_file(web, bundle, tmp_path, capsys, limit):
    scene = write_scene(tmp_path / "scene.tif", (3, 90, 70), driver="COG", nodata=3)
    web.files["/a/scene.tif"] = scene.read_bytes()
    assert upscale(scene, tmp_path / "near", bundle, "--scene_limit", limit) == 0
    assert upscale(signed(web, "/a/scene.tif"), tmp_path / "far", bundle,
                   "--scene_limit", limit) == 0  # fmt: skip
    near, far = tmp_path / "near" / "scene_x4.tif", tmp_path / "far" / "scene_x4.tif"
    assert far.read_bytes() == near.read_bytes()
    assert f"{web.url}/a/scene.tif".encode() in everything_in(tmp_path / "far")
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    assert SECRET.encode() not in everything_in(tmp_path / "far")


def test_secrets_are_in_no_log_of_any_logger(web, bundle, tmp_path, caplog):
    write_scene(tmp_path / "scene.tif", (1, 30, 40))
    web.files["/scene.tif"] = (tmp_path / "scene.tif").read_bytes()
    with caplog.at_level(logging.DEBUG):
        assert upscale(signed(web, "/scene.tif"), tmp_path / "out", bundle) == 0
        assert upscale(signed(web, "/none.tif"), tmp_path / "out", bundle) == 2
        web.files["/scene.tif"] = web.files["/scene.tif"][:900]
        assert upscale(signed(web, "/scene.tif"), tmp_path / "out", bundle) == 2
    assert SECRET not in caplog.text
    assert SECRET.encode() not in everything_in(tmp_path / "out")


def test_a_window_of_a_large_scene_is_read_without_the_rest(web, bundle, tmp_path):
    array = smooth((1, 512, 512)).repeat(16, 1).repeat(16, 2)
    scene = write_scene(tmp_path / "scene.tif", array=array, driver="COG", compress="none",
                        overviews="none")  # fmt: skip
    web.files["/scene.tif"] = scene.read_bytes()
    assert len(web.files["/scene.tif"]) > 64e6
    # Of one band of integers rows are looked at, whether they are codes, unless one says.
    window = ("--window", 1200, 2000, 256, 256, "--kind", "intensity")
    assert upscale(f"{web.url}/scene.tif", tmp_path / "out", bundle, *window) == 0
    assert (tmp_path / "out" / "scene_x4_at_1200_2000_256_256.tif").is_file()
    assert web.sent < 0.05 * len(web.files["/scene.tif"])


def test_what_is_done_is_skipped_until_the_file_changes(web, bundle, tmp_path, capsys):
    first = write_scene(tmp_path / "scene.tif", (1, 30, 40)).read_bytes()
    web.files["/scene.tif"] = first
    for signature in "ab":  # another one, for the same file
        address = f"{web.url}/scene.tif?X-Amz-Signature={signature}"
        assert upscale(address, tmp_path / "out", bundle, "--skip_done") == 0
    assert "1 of 1 results were there already" in capsys.readouterr().out
    before = (tmp_path / "out" / "scene_x4.tif").read_bytes()
    changed = bytearray(first)
    changed[-1] ^= 255  # of the same length
    web.files["/scene.tif"] = bytes(changed)
    assert upscale(f"{web.url}/scene.tif", tmp_path / "out", bundle, "--skip_done") == 0
    assert (tmp_path / "out" / "scene_x4.tif").read_bytes() != before


def test_a_server_that_tells_no_version_is_named(web, bundle, tmp_path, capsys):
    web.has_versions = False
    web.files["/scene.tif"] = write_scene(tmp_path / "scene.tif", (1, 30, 40)).read_bytes()
    assert upscale(f"{web.url}/scene.tif", tmp_path / "out", bundle) == 0
    assert "tells neither ETag nor Last-Modified" in capsys.readouterr().out


def test_a_file_that_changes_meanwhile_gives_no_result(web, bundle, tmp_path, capsys, monkeypatch):
    from monai_sr.upscaling import scene_job

    scene = write_scene(tmp_path / "scene.tif", (1, 90, 70)).read_bytes()
    web.files["/scene.tif"] = scene
    beside_text = scene_job.check_unchanged

    def changing(record):
        web.files["/scene.tif"] = scene + b"\0"
        beside_text(record)

    monkeypatch.setattr(scene_job, "check_unchanged", changing)
    assert upscale(f"{web.url}/scene.tif", tmp_path / "out", bundle, "--scene_limit", 0) == 2
    assert "must stay as it is until its result is written" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*.tif"))


def lose_connection_after_tiles(web, patch, count):
    """Break the connection, and let GDAL forget what it has fetched, as it does of large scenes."""
    write, written = TileBlocks.write, []

    def writing(*arguments):
        write(*arguments)
        written.append(1)
        if len(written) == count:
            web.left = 0
            with suppress(VsiError):
                look(f"/vsicurl/{web.url}/none", f"/vsicurl/{web.url}", 0)

    patch.setattr(TileBlocks, "write", writing)


def test_a_lost_connection_is_one_line_and_the_next_run_goes_on(
    web, bundle, tmp_path, capsys, monkeypatch
):
    scene = write_scene(tmp_path / "scene.tif", (3, 400, 300), compress="none", tiled=True,
                        blockxsize=64, blockysize=64)  # fmt: skip
    web.files["/scene.tif"] = scene.read_bytes()
    options = ("--scene_limit", 0, "--range", 0, 255)
    assert upscale(scene, tmp_path / "near", bundle, *options) == 0
    address = f"{web.url}/scene.tif?token=geheim"
    capsys.readouterr()
    out = tmp_path / "far"
    with monkeypatch.context() as patch:
        lose_connection_after_tiles(web, patch, 3)
        assert upscale(address, out, bundle, *options) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert f"{web.url}/scene.tif: must be readable to its end" in lines[0]
    assert SECRET not in lines[0]
    assert not list(out.glob("*.tif"))
    kept = list(out.glob(".scene_x4.tif.parts/*.block"))
    assert len(kept) >= 3
    web.left = None
    assert upscale(address, out, bundle, *options) == 0
    assert (out / "scene_x4.tif").read_bytes() == (tmp_path / "near" / "scene_x4.tif").read_bytes()
    assert not list(out.glob(".*"))


def test_other_formats_are_fetched_whole(web, bundle, tmp_path):
    photo = write_raster(tmp_path / "photo.png", pixels((3, 20, 30)))
    web.files["/photo.png"] = photo.read_bytes()
    web.files["/volume.nii.gz"] = write_nifti(tmp_path / "volume.nii.gz", pixels((1, 9, 8))[0])\
        .read_bytes()  # fmt: skip
    for name in ("photo.png", "volume.nii.gz"):
        assert upscale(f"{web.url}/{name}", tmp_path / "far", bundle) == 0
        assert upscale(tmp_path / name, tmp_path / "near", bundle) == 0
    for name in ("photo_x4.png", "volume_x4.nii.gz"):
        first, second = (tmp_path / where / name for where in ("near", "far"))
        assert second.read_bytes() == first.read_bytes()


def test_a_fetched_file_that_refers_elsewhere_stays_refused(web, bundle, tmp_path, capsys):
    inner = write_scene(tmp_path / "scene.tif", (1, 30, 40))
    web.files["/a.vrt"] = f"""<VRTDataset rasterXSize="40" rasterYSize="30"><VRTRasterBand
      dataType="Byte" band="1"><SimpleSource><SourceFilename>{inner}</SourceFilename>
      </SimpleSource></VRTRasterBand></VRTDataset>""".encode()
    assert upscale(f"{web.url}/a.vrt", tmp_path / "out", bundle) == 2
    assert f"{web.url}/a.vrt: must name files of its own folder only" in capsys.readouterr().err


def test_a_list_of_addresses_repeats_their_folders(web, tmp_path):
    scene = write_scene(tmp_path / "scene.tif", (1, 9, 9)).read_bytes()
    web.files.update({"/s/1/B04.tif": scene, "/s/2/B04.tif": scene})
    names = tmp_path / "list.txt"
    names.write_text(f"{web.url}/s/1/B04.tif\n{web.url}/s/2/B04.tif\n")
    found = find_inputs(names, tmp_path / "out", (), True)
    assert [f"{f.relative_to(found.root)}" for f in found.files] == ["1/B04.tif", "2/B04.tif"]
    names.write_text(f"{web.url}/s/1/B04.tif\nscene.tif\n")
    with pytest.raises(BadImageError, match=r"scene.tif: must be an address as the others"):
        find_inputs(names, tmp_path / "out", (), True)


@pytest.mark.parametrize("member", ["d/scene.tif", "d/volume.nii.gz"])
def test_a_member_of_a_zip_is_unpacked_with_what_lies_beside_it(tmp_path, member):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(member, b"1")
        archive.writestr("d/scene.tfw", b"2")
        archive.writestr("d/scenery.tif", b"3")
        archive.writestr("other.tif", b"4")
    archives = Archives()
    path = FarInputs().bring(f"zip://{tmp_path}/a.zip!{member}", archives)
    beside = {"d/scene.tif": {"scene.tif", "scene.tfw"}}.get(member, {"volume.nii.gz"})
    assert {f.name for f in path.parent.iterdir()} == beside
    with pytest.raises(BadImageError, match=r"a.zip: must hold 'no.tif', got no such member"):
        FarInputs().bring(f"zip://{tmp_path}/a.zip!no.tif", archives)
    with pytest.raises(BadImageError, match=r"no.zip: no such file"):
        FarInputs().bring("zip://no.zip!a.tif", archives)


def test_a_member_of_a_far_zip_is_read_where_it_lies(web, bundle, tmp_path):
    scene = write_scene(tmp_path / "scene.tif", (1, 30, 40))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(scene, "d/scene.tif")
        archive.writestr("d/large.bin", bytes(10**6))
    web.files["/a.zip"] = (tmp_path / "a.zip").read_bytes()
    assert upscale(f"zip+{web.url}/a.zip!d/scene.tif", tmp_path / "far", bundle) == 0
    assert upscale(scene, tmp_path / "near", bundle) == 0
    first, second = (tmp_path / where / "scene_x4.tif" for where in ("near", "far"))
    assert second.read_bytes() == first.read_bytes()
    assert web.sent < 10**6


def test_addresses_and_options_reach_monai_as_they_are(web, bundle, tmp_path):
    from monai_sr.upscaling import SRWorkflow

    web.files["/a//scene.tif"] = write_scene(tmp_path / "scene.tif", (1, 9, 9)).read_bytes()
    workflow = SRWorkflow(bundle, input=f"{web.url}/a//scene.tif", output_dir=tmp_path / "out",
                          device="cpu")  # fmt: skip
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    assert (tmp_path / "out" / "scene_x4.tif").is_file()
    assert ("HEAD", "/a//scene.tif", "") in web.requests
