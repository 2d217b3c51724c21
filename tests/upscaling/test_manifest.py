"""The record of a run survives the next one, and is refused where it is something else."""

from __future__ import annotations

import csv
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from monai_sr.core.errors import OutputError
from monai_sr.upscaling.manifest import FIELDS, Manifest, _alone


def saved(folder, *rows):
    manifest = Manifest(folder)
    for row in rows:
        manifest.add(**row)
    manifest.save()
    return manifest


def test_rows_come_back(tmp_path):
    saved(tmp_path / "out", {"source": "/a.png", "output": "a_x4.png", "lr_psnr": "60.00"})
    again = Manifest(tmp_path / "out")
    assert again.rows["/a.png", "a_x4.png"]["lr_psnr"] == "60.00"
    assert again.rows["/a.png", "a_x4.png"]["error"] == ""
    assert again.sources() == {tmp_path / "out" / "a_x4.png": "/a.png"}


def test_a_second_run_replaces_its_own_rows_and_keeps_the_others(tmp_path):
    saved(tmp_path, {"source": "/b.png", "output": "b_x4.png"}, {"source": "/a.png", "error": "no"})
    saved(tmp_path, {"source": "/a.png", "output": "a_x4.png"})
    with (tmp_path / Manifest.name).open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(r["source"], r["output"], r["error"]) for r in rows] == [
        ("/a.png", "a_x4.png", ""),
        ("/b.png", "b_x4.png", ""),
    ]
    assert tuple(rows[0]) == FIELDS


def test_runs_at_once_keep_the_rows_of_each_other(tmp_path):
    one, two = Manifest(tmp_path), Manifest(tmp_path)
    one.add(source="/a.png", output="a_x4.png", kind="gray")
    two.add(source="/b.png", error="no")
    one.save()
    two.add(source="/a.png", output="a_x4.png", kind="color")  # made again: the last counts
    two.save()
    one.add(source="/c.png", output="c_x4.png")
    one.add(source="/b.png", output="b_x4.png")
    one.save()
    kinds = {output: row["kind"] for (_, output), row in Manifest(tmp_path).rows.items()}
    assert kinds == {"a_x4.png": "color", "b_x4.png": "", "c_x4.png": ""}
    assert one.rows == Manifest(tmp_path).rows


def test_threads_lose_no_row(tmp_path):
    def run(name):
        manifest = Manifest(tmp_path)
        for i in range(8):
            manifest.add(source=f"/{name}{i}.png", output=f"{name}{i}_x4.png")
            manifest.save()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, "abcd"))
    assert len(Manifest(tmp_path).sources()) == 32


def test_runs_at_once_take_no_name_of_each_other(tmp_path):
    one, two = Manifest(tmp_path), Manifest(tmp_path)
    assert one.begin("/in1/a.png", tmp_path / "a_x4.png")
    assert not two.begin("/in2/a.png", tmp_path / "a_x4.png")
    assert two.begin("/in2/b.png", tmp_path / "b_x4.png")
    (tmp_path / "a_x4.png").touch()
    one.add(source="/in1/a.png", output="a_x4.png")
    one.end()
    assert not two.begin("/in2/a.png", tmp_path / "a_x4.png")
    assert one.begin("/in1/a.png", tmp_path / "a_x4.png")
    assert Manifest(tmp_path).begun() == {tmp_path / "b_x4.png": "/in2/b.png"}
    (tmp_path / "a_x4.png").unlink()
    assert two.begin("/in2/a.png", tmp_path / "a_x4.png")
    two.end()
    assert [path.name for path in tmp_path.iterdir()] == [Manifest.name]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_process_that_was_forked_meanwhile_holds_nobody_up(tmp_path):
    with _alone(tmp_path):
        child = os.fork()
        if not child:  # such as a worker that another thread starts
            time.sleep(20)
            os._exit(0)
    began = time.monotonic()
    saved(tmp_path, {"source": "/a.png"})
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert time.monotonic() - began < 10


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_in_place_of_the_folder_or_the_record_is_one_line(tmp_path):
    os.mkfifo(tmp_path / "out")
    with pytest.raises(OutputError, match=r"cannot be written"):
        saved(tmp_path / "out", {"source": "/a.png"})
    os.mkfifo(tmp_path / Manifest.name)
    with pytest.raises(OutputError, match=r"must be the record of an earlier run"):
        Manifest(tmp_path)


def test_results_at_two_scales_and_before_a_failure_stay_on_record(tmp_path):
    record = saved(
        tmp_path,
        {"source": "/a.png", "output": "a_x2.png"},
        {"source": "/a.png", "output": "a_x4.png"},
        {"source": "/a.png", "error": "is gone"},
    )
    assert set(record.sources()) == {tmp_path / "a_x2.png", tmp_path / "a_x4.png"}


def test_failed_inputs_have_no_result(tmp_path):
    assert saved(tmp_path, {"source": "/a.png", "error": "is empty"}).sources() == {}


@pytest.mark.parametrize("name", ["a,b.png", 'a"b.png', "ä ö.png", "a\nb.png",
                                  os.fsdecode(b"\xff\xfe.png")])  # fmt: skip
def test_any_name_of_a_file_comes_back(tmp_path, name):
    saved(tmp_path, {"source": f"/{name}", "output": name})
    assert Manifest(tmp_path).sources() == {tmp_path / name: f"/{name}"}


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\x00\x01\x02", b"\xff\xd8\xff\xe0"])
def test_another_file_of_that_name_is_neither_read_nor_replaced(tmp_path, content):
    (tmp_path / Manifest.name).write_bytes(content)
    with pytest.raises(OutputError, match=r"monai_sr_manifest\.csv: must be the record"):
        Manifest(tmp_path)
    assert (tmp_path / Manifest.name).read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"output;source\na_x4.png;/a.png\n", b"\xff\xd8\xff"])
def test_one_that_is_damaged_during_a_run_is_put_aside(tmp_path, caplog, content):
    saved(tmp_path, {"source": "/old.png", "output": "old_x4.png"})
    manifest = Manifest(tmp_path)
    manifest.add(source="/a.png", output="a_x4.png")
    manifest.save()
    (tmp_path / Manifest.name).write_bytes(content)
    assert manifest.begin("/b.png", tmp_path / "b_x4.png")
    manifest.add(source="/b.png", output="b_x4.png")
    manifest.end()
    outputs = {output for _, output in Manifest(tmp_path).rows}
    assert outputs == {"old_x4.png", "a_x4.png", "b_x4.png"}
    assert (tmp_path / "monai_sr_manifest.damaged").read_bytes() == content
    assert "kept as monai_sr_manifest.damaged" in caplog.text


def test_one_that_cannot_be_read_now_is_not_put_aside(tmp_path):
    manifest = saved(tmp_path, {"source": "/old.png", "output": "old_x4.png"})
    (tmp_path / Manifest.name).unlink()
    (tmp_path / Manifest.name).mkdir()  # opening it is an OSError, as of a disk that fails
    with pytest.raises(OutputError, match="must be the record"):
        manifest.begin("/b.png", tmp_path / "b_x4.png")
    assert not (tmp_path / "monai_sr_manifest.damaged").exists()


def test_a_row_that_was_cut_is_read_as_far_as_it_goes(tmp_path):
    (tmp_path / Manifest.name).write_text("output,source\na_x4.png,/a.png\nb_x4.png")
    assert set(Manifest(tmp_path).rows) == {("/a.png", "a_x4.png"), ("", "b_x4.png")}


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        saved(tmp_path / "file" / "out", {"source": "/a.png"})


def test_what_a_killed_run_began_is_known_until_it_is_recorded(tmp_path):
    killed = Manifest(tmp_path)
    killed.begin("/in/a\udcff.png", tmp_path / "a_x2.png")
    assert Manifest(tmp_path).begun() == {tmp_path / "a_x2.png": "/in/a\udcff.png"}
    with (tmp_path / f".{Manifest.name}.begun").open("a") as stream:
        stream.write('["/in/b')
    again = Manifest(tmp_path)
    assert len(again.begun()) == 1
    again.end()  # of that name it has done nothing
    assert len(again.begun()) == 1
    again.add(source="/in/a\udcff.png", output="a_x2.png")
    again.end()
    assert Manifest(tmp_path).begun() == {}
    assert [path.name for path in tmp_path.iterdir()] == [Manifest.name]
