"""A scheduled job under a model: whatever the clock does, whoever orders what, whenever the worker dies, each run begins once and reads its files once."""

import shutil
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.kit.office import Office

SCHEDULE = {"cron": "*/10 * * * *", "catch_up_most": 3}
LINES = ("1\n2\n", "3\nbad\n", "broken\n", "")


class Schedules(RuleBasedStateMachine):
    """Lets time pass, dies, orders."""

    home: Path | None = None

    @initialize(policy=st.sampled_from(["skip", "once", "all"]), files=st.lists(st.sampled_from(LINES), max_size=3))
    def begin(self, policy: str, files: list[str]) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="xyra-office-"))
        self.office = Office(self.home, **SCHEDULE, catch_up=policy)
        files = [f"{number}\n{text}" for number, text in enumerate(files)]  # no two are alike: equal files have rows of equal ids
        for number, text in enumerate(files):
            self.office.file(f"{number}.csv", text)
        self.good = sum(line.isdigit() for text in files for line in text.split())
        self.began_ms = self.office.clock.now_ms()
        self.office.order()
        self.office.tick()

    @rule(seconds=st.sampled_from([0, 0, 1, 30, 600, 601, 3000, 20_000]), commit=st.booleans())
    def time_passes(self, seconds: int, commit: bool) -> None:
        self.office.tick(seconds, commit=commit)

    @rule(seconds=st.integers(-4000, -1))
    def the_clock_is_set_back(self, seconds: int) -> None:
        self.office.clock.jump(seconds * 1000)

    @rule(commit=st.booleans(), times=st.integers(1, 8))
    def work_is_done(self, commit: bool, times: int) -> None:
        for _ in range(times):
            self.office.work(commit=commit)
            self.office.tick()

    @rule()
    def all_of_it_is_done(self) -> None:
        self.office.settle()

    @rule()
    def the_worker_dies(self) -> None:
        self.office.crash()

    @rule()
    def a_run_is_asked_for(self) -> None:
        if not self.office.cancelled:
            self.office.extra += 1
            self.office.order()

    @rule()
    def it_is_cancelled(self) -> None:
        self.office.cancel()
        self.office.tick()

    @rule()
    def it_is_retried(self) -> None:
        self.office.again()
        self.office.tick()

    @invariant()
    def each_run_begins_once_in_order(self) -> None:
        begun = self.office.begun()
        assert [run for run, _ in begun] == list(range(1, len(begun) + 1))
        due = [due_ms for _, due_ms in begun if due_ms is not None]
        assert due == sorted(set(due))
        assert all(due_ms % 600_000 == 0 and due_ms > self.began_ms for due_ms in due)

    @invariant()
    def no_run_reads_a_row_twice(self) -> None:
        runs = len(self.office.begun())
        assert all(count <= runs for count in Counter(name for name, _ in self.office.rows).values())
        assert len(self.office.rows) <= runs * self.good

    @rule()
    def the_next_run_comes_and_reads_every_file(self) -> None:
        """Whatever has happened."""
        office = self.office
        office.settle()
        if office.cancelled:
            office.again()
            office.settle()
        before, rows = office.report, len(office.rows)
        assert before.next_run_at_ms is not None
        office.tick(max(before.next_run_at_ms - office.clock.now_ms(), 0) / 1000)
        office.settle()
        report = office.report
        assert (report.run, report.due_at_ms, report.over) == (before.run + 1, before.next_run_at_ms, True)
        assert len(office.rows) - rows == self.good == report.rows_accepted

    def teardown(self) -> None:
        """Let go of the state."""
        if self.home is not None:
            self.office.close()
            shutil.rmtree(self.home, ignore_errors=True)


Schedules.TestCase.settings = settings(max_examples=40, stateful_step_count=20)
TestSchedules = Schedules.TestCase
