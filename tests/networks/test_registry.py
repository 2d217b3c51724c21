"""Names of generators and the errors of a wrong one."""

from __future__ import annotations

import pytest

from monai_sr.core.errors import OptionError
from monai_sr.networks import Generator, create_generator, list_generators, register_generator
from monai_sr.networks.registry import check_scale


def test_names_are_sorted_and_filtered_by_a_pattern():
    assert list_generators() == sorted(list_generators())
    assert list_generators("bi*") == ["bicubic", "bilinear"]


def test_misspelt_name_is_answered_with_the_nearest_and_all():
    with pytest.raises(OptionError, match=r"did you mean 'srcnn'\? known: bicubic, .*srcnn"):
        create_generator("srcn")


def test_taken_name_is_refused():
    with pytest.raises(OptionError, match="choose another name"):
        register_generator("srcnn")(Generator)


@pytest.mark.parametrize("name", list_generators())
def test_generator_declares_its_paper_scales_and_ranks(name):
    info = create_generator(name).info
    assert info.paper
    assert info.scales
    assert set(info.spatial_dims) <= {2, 3}
    assert info.minimum_size >= 1


def test_call_without_scale_takes_the_default():
    assert check_scale(None, (2, 4), 4) == 4
    assert check_scale(2, (2, 4), 4) == 2


def test_scale_that_was_not_built_is_refused_with_those_that_were():
    with pytest.raises(OptionError, match=r"built for \[2, 4\], got 3"):
        check_scale(3, (2, 4), 4)
