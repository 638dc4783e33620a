"""One small campaign for all tests of the simulation."""

import pytest

from workbench.synthetic import CampaignTruth, simulate_campaign


@pytest.fixture(scope="session")
def truth(tmp_path_factory: pytest.TempPathFactory) -> CampaignTruth:
    return simulate_campaign(tmp_path_factory.mktemp("campaign"), tile_size=48, n_tiles=17, seed=3)
