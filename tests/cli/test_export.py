"""The command ``monai-sr export``: what it writes, and one line where it cannot."""

from __future__ import annotations

from monai_sr.cli.main import main


def test_an_export_says_where_it_is(tmp_path, capsys) -> None:
    arguments = ["export", "xray_sr:fast", "--scale", "2", "-o", str(tmp_path)]
    assert main(arguments) == 0
    assert f"xray_sr:fast x2: {tmp_path / 'xray_sr_fast_x2'}" in capsys.readouterr().out
    assert (tmp_path / "xray_sr_fast_x2" / "models" / "model.ts").is_file()


def test_a_refused_export_is_one_line(tmp_path, capsys) -> None:
    assert main(["export", "satellite_sr", "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "use --format deepness for QGIS" in error
    assert not (tmp_path / "out").exists()
