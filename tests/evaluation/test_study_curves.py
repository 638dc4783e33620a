"""Lines of a study say what was run: nothing that differs is averaged, few seeds give no band."""

import numpy as np
import pandas as pd
import pytest

from workbench.errors import EvaluationError
from workbench.evaluation.study_curves import curves_by_step, scores_by, time_to_share


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def rows(seeds, *, fractions=(0.1, 1.0), draws=2, inits=("random", "moco")):
    """Scores that rise by 0.2 from fraction to fraction, 0.01 by draw and 0.001 by seed."""
    found = [
        {"init": init, "fraction": fraction, "draw": draw, "seed": seed, "decoder": "fcn",
         "seconds": 10.0, "macro_miou": 0.3 * k + 0.2 * f + 0.01 * draw + 0.001 * seed}
        for k, init in enumerate(inits)
        for f, fraction in enumerate(fractions)
        for draw in range(draws if fraction < 1 else 1)
        for seed in range(seeds)
    ]  # fmt: skip
    frame = pd.DataFrame(found)
    frame.attrs["design"] = ["init", "fraction", "draw", "seed", "decoder"]
    return frame


def test_points_are_interquartile_means_over_seeds_of_means_over_draws():
    found = scores_by(rows(5), "macro_miou", lines=["init"], axis="fraction", rng=rng())
    assert found["fraction"].tolist() == [0.1, 0.1, 1.0, 1.0]
    point = found[(found["init"] == "moco") & (found["fraction"] == 0.1)].iloc[0]
    assert point["value"] == pytest.approx(0.3 + 0.005 + 0.002)
    assert (point["n_seeds"], point["n_draws"], len(point["single"])) == (5, 2, 10)
    assert point["low"] < point["value"] < point["high"]
    whole = found[(found["init"] == "moco") & (found["fraction"] == 1.0)].iloc[0]
    assert whole["n_draws"] == 1
    # what the draws of labels add to the spread is in the interval
    assert point["high"] - point["low"] > whole["high"] - whole["low"]


def test_four_seeds_have_no_interval_and_a_seed_without_all_draws_is_left_out():
    four = scores_by(rows(4), "macro_miou", lines=["init"], axis="fraction", rng=rng())
    assert four[["low", "high"]].isna().all(axis=None)
    lacking = rows(5).drop(index=0)  # a draw of random, 0.1, seed 0
    found = scores_by(lacking, "macro_miou", lines=["init"], axis="fraction", rng=rng())
    assert found["n_seeds"].tolist() == [4, 5, 5, 5]


def test_rows_that_differ_in_something_else_are_refused():
    frame = rows(5)
    frame.loc[3, "decoder"] = "unet"
    with pytest.raises(EvaluationError, match=r"but differ in 'decoder' \(fcn, unet\)"):
        scores_by(frame, "macro_miou", lines=["init"], axis="fraction", rng=rng())
    named = scores_by(frame, "macro_miou", lines=["init", "decoder"], axis="fraction", rng=rng())
    assert set(named["decoder"]) == {"fcn", "unet"}
    with pytest.raises(EvaluationError, match="needs the column 'micro_f1'"):
        scores_by(frame, "micro_f1", lines=["init"], axis="fraction", rng=rng())
    with pytest.raises(EvaluationError, match="needs rows, but there are none"):
        scores_by(frame[:0], "macro_miou", lines=["init"], axis="fraction", rng=rng())


def trained(curves, steps=(0, 10, 20, 30), seconds=30.0):
    frame = pd.DataFrame(
        {
            "init": [init for init, _ in curves],
            "seed": range(len(curves)),
            "draw": 0,
            "curve_steps": [list(steps)] * len(curves),
            "curve_scores": [scores for _, scores in curves],
            "seconds": seconds,
        }
    )
    frame.attrs["design"] = ["init", "seed", "draw"]
    return frame


def test_time_to_a_share_is_the_first_look_at_it_of_each_run():
    frame = trained(
        [
            ("moco", [0.1, 0.76, 0.79, 0.80]),  # 0.95 * 0.80 = 0.76 at step 10
            ("moco", [0.1, 0.75, 0.79, 0.80]),  # at step 20
            ("moco", [0.1, 0.5, 0.6, 0.80]),  # at step 30
            ("random", [0.79, 0.9, 0.7, 0.80]),  # before any step; a later fall changes nothing
        ]
    )
    found = time_to_share(frame, lines=["init"]).set_index("init")
    moco = found.loc["moco"]
    assert (moco["steps"], moco["fewest"], moco["most"], moco["n_runs"]) == (20, 10, 30, 3)
    assert moco["seconds"] == pytest.approx(20.0)
    assert moco["final"] == pytest.approx(0.8)
    assert moco["every"] == 10
    assert found.loc["random", "steps"] == 0
    half = time_to_share(frame, lines=["init"], share=0.5).set_index("init")
    assert half.loc["moco", "steps"] == 10


def test_a_run_that_ends_below_zero_never_arrives():
    frame = trained([("random", [-0.5, -0.2, -0.1, -0.05]), ("random", [-0.5, 0.1, 0.2, 0.2])])
    found = time_to_share(frame, lines=["init"]).iloc[0]
    assert (found["n_runs"], found["n_arrived"], found["steps"]) == (2, 1, 20)
    never = time_to_share(frame[:1], lines=["init"]).iloc[0]
    assert np.isnan(never["steps"])
    with pytest.raises(EvaluationError, match=r"in \(0, 1\], got 95"):
        time_to_share(frame, lines=["init"], share=95)


def test_curves_have_a_point_for_each_look():
    frame = trained([("moco", [0.1, 0.2 + 0.01 * k, 0.3, 0.4]) for k in range(5)])
    found = curves_by_step(frame, lines=["init"], rng=rng())
    assert found["step"].tolist() == [0, 10, 20, 30]
    assert found.loc[1, "value"] == pytest.approx(0.22)
    assert found.loc[1, "low"] < 0.22 < found.loc[1, "high"]
    single = frame.assign(curve_steps=[[0]] * 5, curve_scores=[[0.1]] * 5)
    with pytest.raises(EvaluationError, match="at least two looks at validation"):
        curves_by_step(single, lines=["init"], rng=rng())
