"""How much may run at once: a number of notebooks, and the GPUs they share."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from workbench.errors import NotebookRunError


@dataclass
class Ticket:
    """A place in the queue for a slot, and later the slot itself."""

    order: tuple[int, ...]
    """Of those that fit, the one with the lowest order goes first."""

    gpus: int = 0
    devices: tuple[str, ...] = ()
    """The GPUs given, as ``CUDA_VISIBLE_DEVICES`` names them."""

    granted: threading.Event = field(default_factory=threading.Event)


class Slots:
    """Grants notebooks their turn, in order, as far as notebooks and GPUs are free.

    One that waits for a GPU holds back no other that needs none.
    """

    def __init__(self, jobs: int = 1, gpus: Iterable[str] = ()) -> None:
        if jobs < 1:
            raise ValueError(f"At least 1 notebook must be allowed at once, got {jobs}.")
        self.jobs = jobs
        self.gpus = tuple(gpus)
        self._free_jobs, self._free_gpus = jobs, list(self.gpus)
        self._waiting: list[Ticket] = []
        self._expected: set[int] = set()
        self._lock = threading.Lock()

    def expect(self, firsts: Iterable[int]) -> None:
        """Hold back every ticket until those whose order begins lower have shown up.

        Without this, whoever asks first goes first, whatever its order.

        Args:
            firsts: First number of the orders to come; `arrived` lets go of one that asks for none.
        """
        with self._lock:
            self._expected |= set(firsts)

    def arrived(self, first: int) -> None:
        """Wait for this one no longer: it has asked, or it never will."""
        with self._lock:
            self._expected.discard(first)
            self._grant()

    def queue(self, order: tuple[int, ...], gpus: int = 0) -> Ticket:
        """Ask for a slot; the ticket's event tells when it is granted.

        Raises:
            NotebookRunError: If more GPUs are asked for than there will ever be.
        """
        if gpus > len(self.gpus):
            raise NotebookRunError(
                f"A step asks for {gpus} GPU(s), but this run has {len(self.gpus)}."
            )
        ticket = Ticket(order, gpus)
        with self._lock:
            self._waiting.append(ticket)
            self._expected.discard(order[0])
            self._grant()
        return ticket

    def release(self, ticket: Ticket) -> None:
        """Give a slot back, or leave the queue."""
        with self._lock:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
            else:
                self._free_jobs += 1
                self._free_gpus = sorted([*self._free_gpus, *ticket.devices])
            self._grant()

    def _grant(self) -> None:
        first = min(self._expected, default=None)
        for ticket in sorted(self._waiting, key=lambda waiting: waiting.order):
            if first is not None and ticket.order[0] > first:
                return
            if self._free_jobs and ticket.gpus <= len(self._free_gpus):
                self._free_jobs -= 1
                ticket.devices = tuple(self._free_gpus[: ticket.gpus])
                del self._free_gpus[: ticket.gpus]
                self._waiting.remove(ticket)
                ticket.granted.set()
