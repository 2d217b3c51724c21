"""The table of systems says what the networks are."""

from __future__ import annotations

import re

import pytest

from monai_sr.cli.models import describe_systems
from monai_sr.networks import create_network, list_systems, read_system


@pytest.fixture(scope="module")
def lines():
    return describe_systems().splitlines()


@pytest.fixture(scope="module")
def table(lines):
    """Return head and rows, each a list of its cells."""
    return [re.split(r"  +", line) for line in lines]


def test_every_system_has_a_row_in_order(table):
    assert [row[0] for row in table] == ["system", *sorted(list_systems())]
    assert {len(row) for row in table} == {7}
    assert all(row[1] == read_system(row[0])["title"] for row in table[1:])


def test_columns_stand_below_each_other(lines):
    (line,) = [line for line in lines if line.startswith("bicubic ")]
    for word, cell in (("title", "Bicubic"), ("learns by", "nothing")):
        assert lines[0].index(word) == line.index(cell)


@pytest.mark.parametrize("name", ["vdsr", "srcnn_955", "srgan_8", "recursive_cascade_gan"])
def test_parameters_and_halo_are_those_of_the_network(table, name):
    network = create_network("", system=name, in_channels=3)
    (row,) = [row for row in table if row[0] == name]
    assert row[2] == f"{sum(p.numel() for p in network.parameters()):,}"
    assert row[4] == str(network.halo)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # 3 x 64 x 81 + 64, 64 x 32 + 32 and 32 x 3 x 25 + 3; a reach of 8 large pixels and bicubic.
        ("srcnn", ["20,099", "x2, x3, x4", "3", "equal the whole", "gradient descent"]),
        ("bicubic", ["-", "x2, x3, x4", "2", "equal the whole", "nothing"]),
        ("igan_srcp", ["776,328", "x2, x3, x4", "51", "differ: it sees the whole image",
                       "gradient descent"]),
        # One state dict gives two scales; SRResNet's x1 enlarges nothing.
        ("recursive_cascade_gan", ["539,078", "x2, x4", "25", "equal the whole",
                                   "gradient descent"]),
        ("srgan_8", ["956,163", "x2, x3, x4", "24", "equal the whole", "gradient descent"]),
        # The published 43 M.
        ("edsr", ["43,089,923", "x2, x3, x4", "68", "equal the whole", "gradient descent"]),
    ],
)  # fmt: skip
def test_rows_hold_the_facts(table, name, expected):
    (row,) = [row for row in table if row[0] == name]
    assert row[2:] == expected


def test_systems_that_are_fitted_say_so(table):
    fitted = {row[0] for row in table if row[6] == "fitting dictionaries"}
    assert fitted == {"neighbor_embedding", "sparse_coding"}
