"""Our figures beside those of opensr-test: rows, and what the page says of them."""

from __future__ import annotations

import pytest
from opensr_package_rows import PACKAGE, PACKAGE_TABLE, PackageRow, agreement_lines

from monai_sr.core.errors import BadImageError
from monai_sr.metrics import OpenSR


def _rows(**package):
    return [
        PackageRow(
            set="naip", image="a", scale=4, system="bicubic", figure=name, ours=0.25,
            package=package.get(name, 0.25), unmoved=0.2504, version="1.3.3",
        )
        for name in OpenSR._fields
    ]  # fmt: skip


def test_rows_come_back(tmp_path):
    rows = _rows(synthesis=0.5)
    PACKAGE_TABLE.write(tmp_path / PACKAGE, rows)
    assert PACKAGE_TABLE.read(tmp_path / PACKAGE) == rows
    (tmp_path / PACKAGE).write_text("a,b\n1,2\n")
    with pytest.raises(BadImageError, match=r"run benchmarks/opensr_package.py again"):
        PACKAGE_TABLE.read(tmp_path / PACKAGE)


def test_the_page_tells_means_and_largest_differences():
    text = "\n".join(agreement_lines(_rows(synthesis=0.5)))
    assert "opensr-test 1.3.3 on 1 results of the satellite images above, of bicubic," in text
    assert "| synthesis | 0.2500 | 0.5000 | 0.2504 | 2.5e-01 | 4.0e-04 |" in text
    assert "| omission | 0.2500 | 0.2500 | 0.2504 | 0.0e+00 | 4.0e-04 |" in text
    assert f"alike to 0.001: {', '.join(OpenSR._fields)}." in text
    assert agreement_lines([]) == []
