"""What a flow is: a name, the topic it reads, and how its steps are put together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from bytewax.dataflow import Dataflow, Stream
from bytewax.inputs import DynamicSource
from bytewax.outputs import DynamicSink

from flows.core import topics
from flows.core.clock import Clock
from flows.core.record import Record
from flows.core.settings import Settings
from flows.core.topics import Topic
from flows.engine.batch import Batch
from flows.engine.entries import Display
from flows.engine.work import Handler
from flows.wire.inlet import PREFETCH_KIB
from flows.wire.telemetry import Telemetry

UNKNOWN: Final = "-"
"""The resource of records that belong to none, or to one that nobody has defined."""

Step = Callable[[Batch], None]
"""A step works on a whole batch. It never raises for one bad record; what it raises stops the process without a commit."""


class Runtime(Protocol):
    """What a flow is built with."""

    settings: Settings
    clock: Clock
    telemetry: Telemetry

    def source(self) -> DynamicSource[Batch]:
        """Where batches come from; the one input of the dataflow."""
        ...

    def step(self, name: str, stream: Stream[Batch], work: Step) -> Stream[Batch]:
        """Put a step behind `stream`: timed, named in dead letters and traces; what it decides counts before the next step."""
        ...

    def handle(self, kind: str, handler: Handler, close: Callable[[], None] | None = None) -> None:
        """Let `handler` do the slow work of a kind: on a thread, or where it is `async` on the one loop of the worker.

        `close` is called before the worker ends, for what the handler has opened: that of an `async` one on the loop, if that ever ran.
        """
        ...

    def display(self, display: Display) -> None:
        """Let `display` show what the state of each partition holds, from when this worker gets it until it loses it."""
        ...

    def sink(self) -> DynamicSink[Batch]:
        """Where batches go: the checkpoint; the one output of the dataflow."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A flow, as `flows/<name>.py` declares it. All of it is handed in: a flow holds nothing while it runs."""

    name: str
    """Names the group, the changelog, the state's directory and the tallies; renaming a flow starts it anew."""
    topic: Topic
    build: Callable[[Runtime], Dataflow]
    writes: tuple[Topic, ...] = ()
    """Topics of ours that it writes to, to be made before it runs."""
    resource: Callable[[Record], str] | None = None
    """What a record is counted under in the tallies; few values, since each has a tally. None: everything under one."""
    resource_kind: str | None = None
    """The kind of definition that a resource must have; a name that nobody has defined, out of a producer's record, is counted under `-`."""
    definitions: Mapping[str, Callable[[bytes], Any]] = field(default_factory=dict)
    """How a definition on `xyra.config` is read, by its kind; may raise ValueError, the definition then counts as absent."""
    orders: frozenset[str] = frozenset()
    """Those kinds that are something to be done: a batch is made when one of them changes, or a partition comes, though nothing else is there."""
    work_slots: int = 4
    """Work items of one lane that run at once, where they do not say it themselves."""
    work_look_s: float = 0.02
    """How soon the end of slow work is looked for while nothing else happens. Sooner is for few large items; of many small ones fewer share a commit then."""

    prefetch_kib: int = PREFETCH_KIB
    """What may lie ready of its topic, in the client."""

    standing: bool = False
    """Whether somebody is always to run it, so that it is missed when nobody does. Of any other, the drain of its last worker is the end."""

    can: tuple[str, ...] | None = None
    """What this installation can that not every one can, told with each sign of life; None: there is nothing of the kind."""

    @property
    def changelog(self) -> Topic:
        """The topic its state is rebuilt from."""
        return topics.changelog(self.name)

    @property
    def group(self) -> str:
        """Its consumer group; with the slot, also the transactional id."""
        return f"xyra-{self.name}"
