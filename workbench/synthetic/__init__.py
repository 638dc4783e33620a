"""A simulated EnMAP campaign with known truth, as nasty as the real one; simulated throughout."""

from workbench.synthetic.acquisition import Acquisition
from workbench.synthetic.campaign import SCALES, Campaign, Site, plan_campaign
from workbench.synthetic.landscape import COVER_NAMES, Disturbance, Landscape
from workbench.synthetic.render import NODATA, Rendered, render
from workbench.synthetic.simulate import simulate_campaign
from workbench.synthetic.truth import CampaignTruth, load_truth

__all__ = [
    "COVER_NAMES",
    "NODATA",
    "SCALES",
    "Acquisition",
    "Campaign",
    "CampaignTruth",
    "Disturbance",
    "Landscape",
    "Rendered",
    "Site",
    "load_truth",
    "plan_campaign",
    "render",
    "simulate_campaign",
]
