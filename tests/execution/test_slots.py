import random
import threading

import pytest

from workbench.errors import NotebookRunError
from workbench.execution.slots import Slots


def test_slots_are_granted_in_order():
    slots = Slots(1)
    first = slots.queue((0,))
    late, early = slots.queue((2,)), slots.queue((1,))
    assert first.granted.is_set()
    slots.release(first)
    assert early.granted.is_set()
    assert not late.granted.is_set()


def test_one_that_waits_for_a_gpu_holds_back_no_other():
    slots = Slots(3, ["0", "1"])
    both, more, none = slots.queue((0,), 2), slots.queue((1,), 1), slots.queue((2,))
    assert both.devices == ("0", "1")
    assert not more.granted.is_set()
    assert none.granted.is_set()
    slots.release(both)
    assert more.devices == ("0",)


def test_more_gpus_than_there_are_can_never_be_granted():
    with pytest.raises(NotebookRunError, match=r"asks for 2 GPU\(s\), but this run has 1"):
        Slots(1, ["0"]).queue((0,), 2)


def test_one_that_leaves_the_queue_takes_no_slot():
    slots = Slots(1)
    first, gone, last = (slots.queue((n,)) for n in range(3))
    slots.release(gone)
    slots.release(first)
    assert last.granted.is_set()
    assert not gone.granted.is_set()


@pytest.mark.parametrize("seed", range(5))
def test_never_more_at_once_than_allowed_and_no_gpu_twice(seed):
    rng, slots, lock = random.Random(seed), Slots(3, "01"), threading.Lock()
    running: list = []
    worst = []

    def work(ticket):
        assert ticket.granted.wait(10)
        with lock:
            running.append(ticket)
            worst.append(len(running))
            devices = [device for other in running for device in other.devices]
            assert len(devices) == len(set(devices))
        with lock:
            running.remove(ticket)
        slots.release(ticket)

    tickets = [slots.queue((rng.random(),), rng.choice([0, 0, 1, 2])) for _ in range(40)]
    threads = [threading.Thread(target=work, args=[ticket]) for ticket in tickets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(worst) == 40
    assert max(worst) <= 3
    assert slots.queue((0,), 2).granted.is_set()  # everything came back


def test_those_expected_earlier_go_first_and_one_that_never_asks_holds_nobody_up():
    slots = Slots(1)
    slots.expect(range(3))
    last = slots.queue((2, 0))
    assert not last.granted.is_set()
    first = slots.queue((0, 0))
    assert first.granted.is_set()
    slots.release(first)
    assert not last.granted.is_set()
    slots.arrived(1)
    assert last.granted.is_set()
