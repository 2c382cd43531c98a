"""What a storm does, and what came of it."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many records, how many kills, at what rate; the same seed chooses the same victims, signals and pauses."""

    records: int = 60_000
    kills: int = 8
    """Of workers, SIGKILL and SIGTERM."""
    broker_kills: int = 1
    ingress_kills: int = 1
    workers: int = 3
    rate: int = 1500
    """Records a second, half of them webhooks over HTTP, half written to the topic by a producer."""
    seed: int = 1
    partitions: int = 8
    bad_every: int = 100
    """Every how manieth produced record names an endpoint that nobody has registered: it belongs on the dead letters."""
    twice_every: int = 50
    """Every how manieth record is sent a second time although its first was acknowledged."""
    senders: int = 16
    resend: int = 500
    """How many known ids are sent once more when all is over: each must come out as a duplicate."""

    @property
    def seconds(self) -> float:
        """How long the sending takes."""
        return self.records / self.rate


@dataclass(slots=True)
class Sent:
    """What the senders know: which ids were acknowledged, under which event ids."""

    accepted: dict[str, list[str]] = field(default_factory=dict)
    """Sender's id -> event ids of its 2xx answers; empty lists for those a producer wrote."""
    bad: set[str] = field(default_factory=set)
    """Ids written for the endpoint nobody has registered."""
    answers: Counter[str] = field(default_factory=Counter)
    """Statuses, and kinds of broken connections; each that is no 2xx was followed by another try."""


@dataclass(slots=True)
class Report:
    """What happened, and everything that was wrong."""

    plan: Plan
    seconds: float = 0.0
    kills: Counter[str] = field(default_factory=Counter)
    exits: Counter[str] = field(default_factory=Counter)
    """How processes ended: `worker SIGTERM -> 0`, `worker by itself -> 4`."""
    drains: list[float] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return it for a person."""
        lines = [
            f"seed {self.plan.seed}, {self.seconds:.0f} s",
            "kills    " + _counted(self.kills),
            "exits    " + _counted(self.exits),
            f"drains   {len(self.drains)}, longest {max(self.drains, default=0):.2f} s",
            "answers  " + _counted(self.answers),
            "counts   " + _counted(self.counts),
            *(f"WRONG    {sentence}" for sentence in self.wrong),
        ]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a storm over one part, for which kills are all there is to count."""

    kills: int
    counts: dict[str, int]
    wrong: tuple[str, ...]
    log: str
    """The end of the output of what was killed."""

    def text(self) -> str:
        """Write it for people."""
        lines = [f"{self.kills} kills; " + ", ".join(f"{name} {n:,}" for name, n in self.counts.items()), *(f"WRONG: {one}" for one in self.wrong)]
        return "\n".join([*lines, *([self.log] if self.wrong else ())])


def _counted(counts: Counter[str] | dict[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in sorted(counts.items())) or "none"
