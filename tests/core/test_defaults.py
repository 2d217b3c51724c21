"""Other threads keep their defaults, and what was set is put back."""

import threading

import pytest
import torch

from monai_sr.core import undisturbed, usual_defaults


@pytest.fixture(autouse=True)
def _put_back():
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)


def test_a_decorated_function_is_undisturbed_in_each_call():
    @undisturbed()
    def made():
        return torch.zeros(1).device.type

    assert made() == "cpu"
    torch.set_default_device("meta")
    assert made() == made() == "cpu"
    assert torch.zeros(1).device.type == "meta"


def test_an_autocast_of_the_program_ends_within_and_goes_on_after():
    matrix = torch.rand(3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        with undisturbed():
            assert (matrix @ matrix).dtype == torch.float32
        assert (matrix @ matrix).dtype == torch.bfloat16


def test_the_last_of_several_threads_puts_the_default_type_back():
    torch.set_default_dtype(torch.float64)
    entered, left = threading.Event(), threading.Event()

    def first():
        with usual_defaults():
            entered.set()
            left.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait(10)
    with usual_defaults():
        left.set()
        thread.join()
        assert torch.get_default_dtype() == torch.float32
    assert torch.get_default_dtype() == torch.float64


def test_a_failure_puts_the_default_type_back():
    torch.set_default_dtype(torch.bfloat16)
    with pytest.raises(ValueError, match="no network"), usual_defaults():
        raise ValueError("no network")
    assert torch.get_default_dtype() == torch.bfloat16
