"""Two processes that share a batch learn what one process learns from all of it."""

import json
import subprocess
import sys

import pytest
import torch

from workbench.methods.gathering import gathered, processes, put_back, shuffled, summed

SCRIPT = """
import json, sys
import torch
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel
from workbench.methods import METHODS
from workbench.methods.gathering import put_back, shuffled
from workbench.models.vit import ViTEncoder, ViTSize

rank, world, meeting = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(1)
SMALL = {
    "moco": {"queue_size": 20, "momentum": 0.9},
    "dino": {"hidden_dim": 32, "bottleneck_dim": 16, "output_dim": 32, "momentum": 0.9},
    "mae": {"decoder_width": 32, "decoder_depth": 1, "decoder_heads": 2},
    "maskfeat": {},
    "beit": {"words": 16},
    "data2vec": {"momentum": 0.99, "momentum_end": 0.99},
}
if world > 1:
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world)
    mine = torch.arange(3) + 3 * rank
    dealt, order = shuffled(mine, torch.Generator().manual_seed(1))
    assert torch.equal(dealt, order[3 * rank : 3 * rank + 3])
    assert sorted(order.tolist()) == list(range(6))
    assert torch.equal(put_back(dealt, order), mine)
found = {}
for name, options in SMALL.items():
    torch.manual_seed(0)
    encoder = ViTEncoder(6, 8, 2, ViTSize(32, 2, 2), adapter=False)
    method = METHODS[name](encoder, **options)
    run = DistributedDataParallel(method) if world > 1 else method
    trained = [p for p in method.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=0.05, momentum=0.9)
    found[name] = []
    for step in range(6):
        draw = torch.Generator().manual_seed(step)
        ground = torch.randn(8, 6, 8, 8, generator=draw)
        views = [ground + 0.1 * torch.randn(ground.shape, generator=draw) for _ in range(2)]
        out = run([view.chunk(world)[rank] for view in views], draw)
        optimiser.zero_grad()
        out.loss.backward()
        optimiser.step()
        method.update((step + 1) / 6)
        loss = out.loss.detach()
        if world > 1:
            dist.all_reduce(loss)
        found[name].append(loss.item() / world)
if rank == 0:
    print(json.dumps(found))
if world > 1:
    dist.destroy_process_group()
"""


def losses(tmp_path, world):
    """Train in so many processes; give the mean loss of each step by method."""
    meeting = (tmp_path / f"meeting{world}").as_uri()
    command = [sys.executable, "-c", SCRIPT]
    running = [
        subprocess.Popen([*command, str(rank), str(world), meeting], stdout=subprocess.PIPE)
        for rank in range(world)
    ]
    said = [process.communicate(timeout=120)[0] for process in running]
    assert all(process.returncode == 0 for process in running)
    return json.loads(said[0])


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path):
    one, two = losses(tmp_path, 1), losses(tmp_path, 2)
    assert set(one) == set(two)
    for name, expected in one.items():
        assert two[name] == pytest.approx(expected, abs=1e-5), name


def test_one_process_keeps_everything_as_it_is():
    batch = torch.randn(5, 3, requires_grad=True)
    assert processes() == 1
    assert torch.equal(gathered(batch), batch)
    assert not gathered(batch).requires_grad
    dealt, order = shuffled(batch)
    assert torch.equal(put_back(dealt, order), batch)
    assert torch.equal(summed(batch), batch)
