"""The section on Deepness in docs/how-to/qgis.md is true: its command writes the file it names."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest

from monai_sr.cli import main as cli
from tests.docs.pages import sections

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "qgis.md"


@pytest.mark.slow
def test_the_command_of_the_section_writes_the_file_that_it_names(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = sections(PAGE)["In Deepness"]
    (command,) = block.commands
    program, *words = command.split()
    assert program == "monai-sr"
    assert cli.main([*words, "--tile_size", "32"]) == 0
    (file,) = (tmp_path / "models").iterdir()
    assert f"`models/{file.name}`" in PAGE.read_text(encoding="utf-8")
    facts = onnxruntime.InferenceSession(file).get_modelmeta().custom_metadata_map
    assert facts["resolution"] == "60.0"
    assert facts["scale_factor"] == "4"
