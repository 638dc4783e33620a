from workbench.execution.devices import Gpu, energy_used, gpus


def gpu(index, joules):
    return Gpu(index, "a GPU", 80.0, "550.1", joules)


def test_energy_is_the_sum_of_what_each_gpu_counted():
    before = [gpu("0", 100.0), gpu("1", 7.0), gpu("2", None)]
    after = [gpu("0", 130.5), gpu("1", 8.0), gpu("2", None)]
    assert energy_used(before, after) == 31.5


def test_without_a_counter_there_is_no_energy():
    assert energy_used([], []) is None
    assert energy_used([gpu("0", None)], [gpu("0", None)]) is None
    assert energy_used([], [gpu("0", 5.0)]) is None  # it was not there before


def test_no_gpu_is_seen_where_none_may_be(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus() == []
