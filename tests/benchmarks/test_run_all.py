"""The runner survives a benchmark that fails, and its table says what each one found."""

import json

import pytest

from benchmarks.run_all import main

GOOD = {
    "claim": "twice | as fast",
    "holds": True,
    "speedup": 2.5,
    "peak_memory_mb": 10.0,
    "machine": {"cores": 2, "device": "cpu"},
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "harness.py").write_text("raise SystemExit('not a benchmark')")
    return tmp_path


def benchmark(folder, name, body):
    (folder / f"{name}.py").write_text(body)


def test_writes_a_row_for_each_benchmark(folder, capsys):
    benchmark(folder, "fast", f"print('hello'); print({json.dumps(GOOD)!r})")
    assert main(["--folder", str(folder)]) == 0
    table = (folder / "RESULTS.md").read_text()
    assert "| fast | twice \\| as fast | holds | `speedup` 2.5 | 10.0 |" in table
    assert "2 cores, cpu" in table
    assert "holds  fast" in capsys.readouterr().out
    assert sorted(p.name for p in folder.iterdir()) == ["RESULTS.md", "fast.py", "harness.py"]


def test_a_claim_that_does_not_hold_is_said_and_exits_with_one(folder):
    benchmark(folder, "slow", f"print({json.dumps(GOOD | {'holds': False})!r})")
    assert main(["--folder", str(folder)]) == 1
    assert "| MISSED |" in (folder / "RESULTS.md").read_text()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("raise SystemExit(3)", "exit code 3"),
        ("print('done')", "the last line is no JSON object"),
        ("pass", "the last line is no JSON object"),
        ("print('{}')", "the last line lacks claim, holds, peak_memory_mb, machine"),
        ("import time; time.sleep(60)", "stopped after 3 s"),
    ],
)
def test_a_benchmark_that_fails_is_a_row_and_the_others_still_run(folder, body, problem):
    benchmark(folder, "broken", body)
    benchmark(folder, "fine", f"print({json.dumps(GOOD)!r})")
    assert main(["--folder", str(folder), "--timeout", "3"]) == 1
    table = (folder / "RESULTS.md").read_text()
    assert f"| broken | {problem} | FAILED |" in table
    assert "| fine |" in table


def test_the_scale_is_handed_on_and_names_choose(folder):
    line = json.dumps(GOOD)
    benchmark(folder, "b", "raise SystemExit(1)")
    benchmark(
        folder,
        "a",
        f"import json, sys\nprint(json.dumps(json.loads({line!r}) | {{'scale': sys.argv[1:]}}))",
    )
    assert main(["a", "--folder", str(folder), "--scale", "full"]) == 0
    assert "['--scale', 'full']" in (folder / "RESULTS.md").read_text()


def test_an_unknown_name_lists_the_known_ones(folder):
    benchmark(folder, "a", "")
    with pytest.raises(SystemExit, match=r"No benchmark z; there are: a\."):
        main(["z", "--folder", str(folder)])
