"""Batches for a GPU: read by threads into pinned memory, copied while the last step computes.

A process that loads data hands its batch over through shared memory, from which it is copied to
pinned memory and then to the device. Threads read a patch straight to its place in the pinned
batch, one copy in all; copying lets other threads run meanwhile.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from workbench.datasets.temporal_patches import TemporalBatch, TemporalPatches, batch_of

AHEAD = 2
"""Batches that are being read while one is used; each is held in pinned memory."""

Begun = tuple[TemporalBatch, list["Future[Any]"]]


class ReadBatches:
    """The batches that are asked for, read by threads.

    The same samples as `TemporalPatches.sample` gives, in batches as `collate_views` makes them.

    Args:
        dataset: Where the locations are.
        asked: Lists of (epoch, location), one for each batch.
        threads: That read, >= 1.
        pin: Read into pinned memory, from which a GPU copies without waiting.
    """

    def __init__(
        self,
        dataset: TemporalPatches,
        asked: Iterable[Sequence[tuple[int, int]]],
        *,
        threads: int,
        pin: bool,
    ) -> None:
        self.dataset, self.asked = dataset, asked
        self.threads, self.pin = threads, pin
        empty: Any = np.empty(0, dataset.patches.store.dtype)
        self._dtype = torch.from_numpy(empty).dtype

    def __len__(self) -> int:
        assert isinstance(self.asked, Sized)
        return len(self.asked)

    def __iter__(self) -> Iterator[TemporalBatch]:
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="reader")
        begun: deque[Begun] = deque()
        try:
            for asked in self.asked:
                begun.append(self._begin(asked, pool))
                if len(begun) > AHEAD:
                    yield _whole(begun.popleft())
            while begun:
                yield _whole(begun.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def _begin(self, asked: Sequence[tuple[int, int]], pool: ThreadPoolExecutor) -> Begun:
        patches = self.dataset.patches
        shown = [self.dataset.draw(i, epoch) for epoch, i in asked]
        every = [acquisition for one in shown for acquisition in one]
        images = torch.empty((len(every), *patches.shape), dtype=self._dtype, pin_memory=self.pin)
        reading = [
            pool.submit(patches.read, acquisition, out=place.numpy())
            for acquisition, place in zip(every, images, strict=True)
        ]
        time = torch.from_numpy(patches.index.time[every])
        return batch_of(images, time, [i for _, i in asked], [len(s) for s in shown]), reading


def _whole(begun: Begun) -> TemporalBatch:
    batch, reading = begun
    for read in reading:
        read.result()  # raises what a thread met
    return batch


def on_device(batches: Iterable[TemporalBatch], device: torch.device) -> Iterator[TemporalBatch]:
    """Copy the images of each batch to a GPU while the step before it computes.

    On other devices batches are handed on as they are.

    Args:
        batches: From pinned memory, else copying waits.
        device: Where to.
    """
    if device.type != "cuda":
        yield from batches
        return
    aside = torch.cuda.Stream(device)
    held: tuple[TemporalBatch, torch.cuda.Event] | None = None
    for batch in batches:
        with torch.cuda.stream(aside):
            images = batch["images"].to(device, non_blocking=True)
            arrived = aside.record_event()
        if held is not None:
            yield _arrived(*held, device)
        held = {**batch, "images": images}, arrived
    if held is not None:
        yield _arrived(*held, device)


def _arrived(
    batch: TemporalBatch, arrived: torch.cuda.Event, device: torch.device
) -> TemporalBatch:
    """Let the device's own stream wait for the copy, and keep the memory until it is done with."""
    stream = torch.cuda.current_stream(device)
    stream.wait_event(arrived)
    batch["images"].record_stream(stream)
    return batch
