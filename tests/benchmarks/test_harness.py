"""The last line of a benchmark is one JSON object; time and memory are those of the work."""

import gc
import json
import mmap

import numpy as np
import pytest

from benchmarks.harness import machine, measured, report

STATED = {"claim", "holds", "peak_memory_mb", "machine"}


def test_the_last_line_is_one_json_object(capsys):
    print("what it did, for people")
    report("a bound", np.bool_(True), peak_mb=12.34, ratio=1.23456789, pairs=np.int64(7))
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(line) == STATED | {"ratio", "pairs"}
    assert line["holds"] is True
    assert (line["ratio"], line["pairs"], line["peak_memory_mb"]) == (1.235, 7, 12.3)


def test_a_value_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        report("a bound", False, peak_mb=1.0, ratio=float("nan"))


def test_measures_the_best_of_all_repeats_and_keeps_the_result():
    calls = []
    timing = measured(lambda: calls.append(1) or len(calls), repeats=3)
    assert timing.result == 3
    assert timing.seconds >= 0


def test_peak_memory_sees_a_large_array():
    """Pages straight from the system: the heap of a long session has freed ones to give again."""
    gc.collect()

    def fill() -> np.ndarray:
        values = np.frombuffer(mmap.mmap(-1, 128 * 2**20), np.uint8)
        values[:] = 1
        return values

    small = measured(lambda: None).peak_mb
    large = measured(fill).peak_mb
    assert large - small > 100


def test_machine_states_cores_and_device():
    assert machine()["cores"] >= 1
    assert machine()["device"]
