"""Threads hand on every item in order, and every failure."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest

from monai_sr.core.pipeline import Background, prefetched


def put_all(background, items):
    with background:
        for item in items:
            background.put(item)


def test_items_come_in_order_from_another_thread():
    threads = set()

    def items():
        for item in range(50):
            threads.add(threading.get_ident())
            yield item

    assert list(prefetched(items())) == list(range(50))
    assert threading.get_ident() not in threads


def test_a_producer_runs_ahead_only_so_far_and_ends_with_its_reader():
    made = []

    def items():
        for item in range(1000):
            made.append(item)
            yield item

    before = threading.active_count()
    with closing(prefetched(items())) as ahead:
        assert next(ahead) == 0
        time.sleep(0.1)
    assert len(made) <= 5
    assert threading.active_count() == before


def test_what_a_producer_raises_is_raised_after_its_items():
    def items():
        yield 1
        raise ValueError("damaged")

    found = prefetched(items())
    assert next(found) == 1
    with pytest.raises(ValueError, match="damaged"):
        next(found)


def test_all_items_are_handled_before_the_block_is_left():
    done = []

    def slowly(item):
        time.sleep(0.001)
        done.append(item)

    with Background(slowly) as background:
        for item in range(20):
            background.put(item)
    assert done == list(range(20))


def test_what_a_handler_raises_is_raised_in_the_block():
    def fail(item):
        raise ValueError(f"disk full at {item}")

    with pytest.raises(ValueError, match="disk full at 0"):
        put_all(Background(fail), range(100))
    with pytest.raises(ValueError, match="disk full at 7"):
        put_all(Background(fail), [7])


def test_a_failing_block_drops_what_waits():
    done = []

    def slowly(item):
        time.sleep(0.05)
        done.append(item)

    with pytest.raises(ZeroDivisionError):
        put_all(Background(slowly, depth=10), (1 // (9 - item) for item in range(10)))
    assert len(done) < 10
