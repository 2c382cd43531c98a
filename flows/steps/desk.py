"""The cases of a batch, laid where every step finds them."""

from flows.core.case import Case, Plan
from flows.core.record import Record
from flows.engine.batch import Batch


class Desk:
    """The cases of the batch in hand, by partition and offset. One flow has one; each step finds there what the one before has found."""

    def __init__(self) -> None:
        """Begin with an empty desk."""
        self.plans: set[Plan] = set()
        """The plans that cases of this batch follow."""
        self._cases: dict[tuple[int, int], Case] = {}
        self._batch: Batch | None = None

    def open(self, batch: Batch, case: Case) -> None:
        """Lay a case down; the first of a batch clears away those of the batch before."""
        if batch is not self._batch:
            self._batch = batch
            self._cases.clear()
            self.plans.clear()
        self.plans.add(case.plan)
        self._cases[case.record[1:3]] = case

    def case(self, record: Record) -> Case:
        """Return a record's case."""
        return self._cases[record[1:3]]

    def cases(self, batch: Batch) -> list[Case]:
        """Return the cases of the records still alive, in their order."""
        found = self._cases
        return [found[record[1:3]] for record in batch.records]
