"""What threads change for a while in the whole process is as before when the last one has gone."""

from __future__ import annotations

import logging
import os
import threading
import warnings

import pytest

from monai_sr.core.shared import ForkSafeLock, ignored_warnings, silent_pydicom


def overlapping(context):
    """Enter twice and leave in the order of entering, as threads do."""
    first, second = context(), context()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    yield
    second.__exit__(None, None, None)


def test_filters_of_warnings_are_put_back_by_the_last():
    before = list(warnings.filters)
    for _ in overlapping(lambda: ignored_warnings(UserWarning)):
        warnings.warn("is not heard while one is left", UserWarning, stacklevel=1)
    assert warnings.filters == before
    with pytest.warns(UserWarning, match="is heard"):
        warnings.warn("is heard", UserWarning, stacklevel=1)


def test_who_comes_later_never_takes_a_filter_away(monkeypatch):
    with ignored_warnings(UserWarning), ignored_warnings(DeprecationWarning):
        held = list(warnings.filters)
        monkeypatch.setattr(warnings, "filterwarnings", None)
        with ignored_warnings(UserWarning):
            assert warnings.filters == held


def test_a_later_filter_of_another_is_overruled():
    with ignored_warnings(UserWarning), warnings.catch_warnings():
        warnings.simplefilter("error")
        with ignored_warnings(UserWarning):
            warnings.warn("is not heard", UserWarning, stacklevel=1)


def test_only_what_is_named_is_ignored():
    with ignored_warnings(DeprecationWarning), pytest.warns(UserWarning, match="other"):
        warnings.warn("other", UserWarning, stacklevel=1)


def test_the_log_of_pydicom_is_put_back_by_the_last():
    logger = logging.getLogger("pydicom")
    before = logger.level
    for _ in overlapping(silent_pydicom):
        assert logger.level == logging.CRITICAL
    assert logger.level == before


def test_filters_are_put_back_after_an_error():
    before = list(warnings.filters)
    with pytest.raises(ValueError, match="on the way"), ignored_warnings():
        raise ValueError("on the way")
    assert warnings.filters == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_lock_that_a_thread_holds_is_free_in_a_fork():
    lock, is_held, is_over = ForkSafeLock(), threading.Event(), threading.Event()

    def hold():
        with lock:
            is_held.set()
            is_over.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    assert is_held.wait(10)
    child = os.fork()
    if child == 0:
        with lock:
            os._exit(7)
    _, status = os.waitpid(child, 0)
    is_over.set()
    holder.join()
    assert os.waitstatus_to_exitcode(status) == 7
