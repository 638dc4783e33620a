"""When each step of a chain runs: after those it needs, as many at once as there are slots."""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from workbench.execution.chain import Chain, ChainStep
from workbench.execution.records import StepRecord
from workbench.execution.slots import Slots, Ticket
from workbench.execution.stopping import Stopper

POLL_SECONDS = 0.5
"""How often a step that waits for its slot looks whether the run was stopped."""

Records = dict[str, StepRecord]


class Schedule:
    """Takes the steps of one chain to their ends, through slots that other chains may share.

    Args:
        chain: The chain.
        slots: Grants turns; steps of a lower place in the chain go first.
        stopper: Once it has stopped, no step is begun.
        decide: Called in this thread for a step whose needs have ended; gives its record if there
            is nothing to run, None if it must run.
        work: Called in a thread of its own, with a slot, for a step that must run.
        ended: Called in this thread with all records so far, whenever a step has run.
        order: Comes before the step's place in the order of the slots.
    """

    def __init__(
        self,
        chain: Chain,
        slots: Slots,
        stopper: Stopper,
        *,
        decide: Callable[[ChainStep, Records], StepRecord | None],
        work: Callable[[ChainStep, Records, Ticket], StepRecord],
        ended: Callable[[Records], None],
        order: tuple[int, ...] = (),
    ) -> None:
        self.slots, self.stopper, self.order = slots, stopper, order
        self.decide, self.work, self.ended = decide, work, ended
        self.places = {step.name: place for place, step in enumerate(chain.steps)}
        self._waiting = list(chain.steps)
        self._records: Records = {}
        self._running: dict[Future[StepRecord], tuple[ChainStep, Ticket]] = {}

    def run(self) -> Records:
        """Run everything; the records stand in the order of the chain."""
        with ThreadPoolExecutor(max(1, len(self._waiting)), "step") as pool:
            try:
                self._begin_ready(pool)
                while self._running:
                    used = self._collect()
                    self._begin_ready(pool)  # before slots are free: earlier steps go first
                    for ticket in used:
                        self.slots.release(ticket)
            except BaseException:
                self.stopper.stop("killed")
                raise
            finally:
                for _, ticket in self._running.values():
                    self.slots.release(ticket)
        return self._known()

    def _known(self) -> Records:
        return {name: self._records[name] for name in self.places if name in self._records}

    def _begin_ready(self, pool: ThreadPoolExecutor) -> None:
        """Begin or settle every step whose needs have ended; settling one may make others ready."""
        while ready := [s for s in self._waiting if set(s.needs) <= self._records.keys()]:
            for step in ready:
                self._waiting.remove(step)
                if (record := self.decide(step, self._known())) is not None:
                    self._records[step.name] = record
                    continue
                ticket = self.slots.queue((*self.order, self.places[step.name]), step.gpus)
                future = pool.submit(self._take, step, self._known(), ticket)
                self._running[future] = step, ticket

    def _take(self, step: ChainStep, known: Records, ticket: Ticket) -> StepRecord:
        while not ticket.granted.wait(POLL_SECONDS):
            if self.stopper.reason is not None:
                break
        if self.stopper.reason is not None:
            return StepRecord(step.name, str(step.notebook), "skipped", "the run was stopped")
        return self.work(step, known, ticket)

    def _collect(self) -> list[Ticket]:
        """Wait until a step has ended; give the slots of all that have."""
        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        used = []
        for future in done:
            step, ticket = self._running.pop(future)
            used.append(ticket)
            self._records[step.name] = future.result()
            self.ended(self._known())
        return used
