"""The next item is made while the last one is worked on."""

import gc
import itertools
import signal
import threading
import time
import weakref

import pytest

from naejax.train.ahead import ahead

SOON = 10  # seconds: only a test that fails waits for so long


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("naejax-ahead")]


class Source:
    """Counts what was asked of it; numbers from 0, or an error at ``bad``."""

    def __init__(self, length=10, bad=None, wait=None):
        self.made, self.closed, self.wait = 0, threading.Event(), wait
        self.thread, self.items = None, self._numbers(length, bad)

    def _numbers(self, length, bad):
        try:
            for i in range(length):
                self.thread = threading.current_thread()
                if self.wait:
                    self.wait()
                if i == bad:
                    raise OSError("a bad disk")
                self.made += 1
                yield i
        finally:
            self.closed.set()


@pytest.mark.parametrize("length", [0, 1, 2, 100])
def test_yields_all_items_in_their_order(length):
    source = Source(length)
    assert list(ahead(source.items)) == list(range(length))
    assert source.closed.is_set() and not threads()


def test_takes_iterators_that_cannot_be_closed():
    assert list(ahead(map(str, range(3)))) == ["0", "1", "2"]


def test_items_may_be_none_or_have_no_truth():
    assert list(ahead(iter([None, 0, ()]))) == [None, 0, ()]


def test_nothing_runs_before_the_first_item():
    source = Source()
    items = ahead(source.items)
    assert source.made == 0 and not threads()
    items.close()
    assert not source.closed.is_set()  # nobody had opened it


def test_the_next_item_is_made_meanwhile_in_a_thread():
    may, made = threading.Semaphore(1), threading.Semaphore(0)

    def wait():
        assert may.acquire(timeout=SOON)
        made.release()

    source = Source(wait=wait)
    items = ahead(source.items)
    assert next(items) == 0
    may.release()
    for _ in range(2):  # item 0, and item 1 though nobody asked for it yet
        assert made.acquire(timeout=SOON)
    assert source.thread is not threading.current_thread()
    assert source.thread.name.startswith("naejax-ahead")
    may.release()
    assert next(items) == 1
    for _ in range(10):
        may.release()
    items.close()


def test_never_more_than_one_item_ahead():
    source = Source(100)
    for count, _ in enumerate(ahead(source.items), start=1):
        time.sleep(0.002)
        assert source.made <= count + 1


def test_an_item_that_was_used_is_freed():
    class Item:
        pass

    alive = weakref.WeakSet()

    def make():
        for _ in range(10):
            item = Item()
            alive.add(item)
            yield item
            del item

    for _ in ahead(make()):
        assert len(alive) <= 3  # in use, coming, and its forerunner about to go


@pytest.mark.parametrize("bad", [0, 1, 5])
def test_an_error_is_raised_in_its_place(bad):
    source, seen = Source(bad=bad), []
    with pytest.raises(OSError, match="a bad disk"):
        for item in ahead(source.items):
            seen.append(item)
    assert seen == list(range(bad))
    assert source.closed.is_set() and not threads()


@pytest.mark.parametrize("taken", [1, 3])
def test_closing_early_ends_the_thread_and_the_source(taken):
    source = Source()
    items = ahead(source.items)
    assert list(itertools.islice(items, taken)) == list(range(taken))
    items.close()
    assert source.closed.is_set() and not threads()
    assert source.made <= taken + 1
    assert list(items) == []


def test_leaving_a_loop_ends_the_thread():
    source = Source()
    for _ in ahead(source.items):
        break
    gc.collect()
    assert source.closed.is_set() and not threads()


def test_an_error_of_the_caller_ends_the_thread():
    source = Source()

    def work():
        for _ in ahead(source.items):
            raise RuntimeError("no")

    with pytest.raises(RuntimeError) as caught:
        work()
    caught = None  # noqa: F841 (its traceback holds the generator)
    gc.collect()
    assert source.closed.is_set() and not threads()


def test_closing_waits_for_the_item_in_work():
    begun, go_on = threading.Event(), threading.Event()

    def wait():
        if source.made:
            begun.set()
            assert go_on.wait(SOON)

    source = Source(wait=wait)
    items = ahead(source.items)
    assert next(items) == 0
    assert begun.wait(SOON)
    threading.Timer(0.05, go_on.set).start()
    items.close()
    assert go_on.is_set() and source.closed.is_set() and not threads()


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_while_waiting_for_an_item_ends_the_thread(times):
    def wait():
        for _ in range(times):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            time.sleep(0.1)  # so that nothing is yielded before it is heard

    source = Source(wait=wait)
    with pytest.raises(KeyboardInterrupt):
        for _ in ahead(source.items):
            pass
    assert source.closed.wait(SOON)
    for thread in threads():  # the second one ends the waiting for it
        thread.join(SOON)
    assert source.made == 1 and not threads()


def test_an_error_while_closing_is_raised():
    def numbers():
        try:
            yield from range(9)
        finally:
            raise OSError("cannot close")

    items = ahead(numbers())
    next(items)
    with pytest.raises(OSError, match="cannot close"):
        items.close()
    assert not threads()
