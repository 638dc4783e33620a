from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation.made_results import FOREST, made_table
from workbench.errors import ManifestError
from workbench.evaluation.claims import (
    CLAIMS,
    Claim,
    judge,
    judge_published,
    published_differences,
    verdicts,
)

BY_NAME = {claim.name: claim for claim in CLAIMS}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return made_table(tmp_path_factory.mktemp("study") / "results.parquet", FOREST)


def verdict(claim, results):
    rng = np.random.default_rng(0)
    return judge(claim, results, metric="overall_accuracy", draws=400, rng=rng)


def test_pretraining_that_helps_everywhere_is_supported(results):
    found = verdict(BY_NAME["forest_pretraining"], results)
    assert found.verdict == "supported"
    assert len(found.pairs) == 3
    assert found.reason.startswith("3 of 3 differences")


def test_an_encoder_that_does_improve_refutes_the_claim_that_it_does_not(results):
    found = verdict(BY_NAME["resnet50_no_better"], results)
    assert found.verdict == "not supported"
    assert "unet resnet50 dino full forest − unet resnet18 dino full forest" in found.reason


def test_a_tie_is_not_resolvable(results):
    claim = Claim("dino", "DINO is better.", {"init": ("dino",)}, {"init": ("moco",)}, at_least=0)
    found = verdict(claim, results)
    assert found.verdict == "not resolvable here"
    assert "cannot be told" in found.reason
    near = replace(claim, at_least=-0.03, at_most=0.03)
    assert verdict(near, results).verdict == "supported"


def test_without_cells_or_seeds_nothing_is_resolved(results, tmp_path):
    assert "no two cells" in verdict(BY_NAME["giant_no_better"], results).reason
    few = made_table(tmp_path / "few.parquet", FOREST, n_seeds=2)
    found = verdict(BY_NAME["forest_pretraining"], few)
    assert (found.verdict, found.reason) == ("not resolvable here", "2 seeds are fewer than 5.")


@pytest.mark.parametrize(
    ("name", "agree", "of"),
    [
        ("frozen_contrastive", 12, 12),
        ("little_gain_in_full", 12, 12),
        ("mae_full", 3, 3),
        ("nlcd_scratch", 2, 2),
        ("large_mae", 12, 12),
        ("giant_no_better", 10, 12),
        ("forest_pretraining", 10, 10),
        ("resnet50_no_better", 4, 6),
        ("adapter_over_frozen", 15, 15),
    ],
)
def test_printed_numbers_are_counted_and_resolve_nothing(name, agree, of):
    found = judge_published(BY_NAME[name])
    assert found.verdict == "not resolvable here"
    assert found.reason.startswith(f"{agree} of {of} printed differences agree")


def test_every_reading_has_a_verdict_for_the_printed_numbers_and_for_ours(results):
    rng = np.random.default_rng(0)
    found = verdicts(CLAIMS, results, metric="overall_accuracy", draws=200, rng=rng)
    assert len(found) == len(CLAIMS)
    of = found.set_index("claim")
    forest = of.loc[BY_NAME["forest_pretraining"].sentence]
    assert (forest["printed_agree"], forest["our_verdict"]) == ("10 of 10", "supported")
    assert forest["printed_verdict"] == "not resolvable here"  # single runs
    assert of.loc[BY_NAME["resnet50_no_better"].sentence, "our_verdict"] == "not supported"
    assert of.loc[BY_NAME["giant_no_better"].sentence, "our_verdict"] == "not resolvable here"
    alone = verdicts(CLAIMS, None, metric="overall_accuracy", rng=rng)
    assert set(alone["our_verdict"]) == {"not run"}


def test_rows_of_another_slice_do_not_enter(results):
    rng = np.random.default_rng(0)
    claim, options = BY_NAME["forest_pretraining"], {"metric": "overall_accuracy", "draws": 100}
    found = judge(claim, results, where={"encoder": "resnet50"}, rng=rng, **options)
    assert len(found.pairs) == 1
    with pytest.raises(ManifestError, match="No row has encoder = vit"):
        judge(claim, results, where={"encoder": "vit"}, rng=rng, **options)


def test_gains_are_those_that_the_tables_give():
    """Adapter minus frozen of the ResNet-50 with DINO; full minus scratch of ViT-S with MAE."""
    gains = published_differences(BY_NAME["adapter_over_frozen"]).set_index("pair")["difference"]
    dino = [v for k, v in gains.items() if "resnet50 dino" in k]
    assert 100 * np.array(dino) == pytest.approx([1.79, 3.73, 2.64])
    mae = published_differences(BY_NAME["mae_full"])["difference"]
    assert 100 * mae.to_numpy() == pytest.approx([0.88, 2.59, 1.87])


def test_every_claim_of_a_table_can_be_read_from_it():
    for claim in CLAIMS:
        assert len(published_differences(claim)), claim.name
