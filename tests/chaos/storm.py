"""A storm over the real parts: Kafka, the ingress and the webhook workers are killed while webhooks come in; then it is proved that nothing shows.

How: one private broker, one ingress, several workers under a small supervisor. Half of the records are signed webhooks from senders that
try again until they get a 2xx, half are written to the topic by a producer; some of either come twice, some are for nobody. Meanwhile
workers get SIGKILL and SIGTERM, the broker and the ingress SIGKILL, all chosen by the plan's seed. What is proved then, from the logs alone:

- every webhook answered with 2xx is on `xyra.webhooks`;
- `xyra.events` has exactly one event for each sender's id, and it is one of the records received;
- every record for nobody is on the dead letters, once for each time it was written;
- the state is right: a sample of known ids, sent again, brings no further event;
- the ledger balances, and its sums are those of the logs.
"""

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from deploy.cli import ledger
from deploy.cli.positions import positions
from deploy.cli.topics import all_topics
from deploy.local.broker import RunningBroker
from deploy.local.parts import answers_ready
from deploy.local.ports import free_port
from flows.core.errors import Unavailable
from flows.core.settings import Settings, load
from flows.wire.kafka import ensure_topics
from tests.bench.topics import wait_until
from tests.bench.web import register
from tests.chaos import proofs
from tests.chaos.crew import ADMIN_KEY, Crew, webhook_parts
from tests.chaos.plan import Plan, Report
from tests.chaos.senders import ENDPOINT, HOST, SECRET, Door, Senders

START_S: Final = 60.0
QUIET_S: Final = 120.0
"""After the last kill everything must be worked off within this."""
BROKER_AWAY_S: Final = (0.0, 2.0)
TICK_S: Final = 0.05
FLOW: Final = "webhooks"


def run(plan: Plan, broker: RunningBroker, home: Path) -> Report:
    """Run a storm on a broker that is running (and is again at the end); `home` takes logs and state.

    Returns what happened; `report.wrong` is empty when every promise held.

    Raises:
        TimeoutError: the stack did not come up, or did not come to rest.

    """
    begin, report = time.monotonic(), Report(plan)
    home.mkdir(parents=True, exist_ok=True)
    settings = load({}, kafka_bootstrap_servers=broker.bootstrap, data_dir=str(home / "data"), kafka_partitions=str(plan.partitions))
    ensure_topics(settings, all_topics())  # as `xyra up` does before it starts anything
    port = free_port()
    crew = Crew(webhook_parts(broker.bootstrap, home, plan.workers, plan.partitions, port), home, report)
    try:
        wait_until(lambda: answers_ready(HOST, port), START_S, "the ingress")
        register(port, {"endpoint_id": ENDPOINT, "secret": SECRET, "dedupe": {"path": "/id"}}, ADMIN_KEY)
        senders = Senders(plan, broker.bootstrap, port)
        rage(plan, crew, broker, senders, report)
        rest(settings, crew)
        resend(plan, port, senders)
        rest(settings, crew)
        crew.stop()  # before the proofs, since a worker publishes its last tallies as it drains
        proofs.compare(broker.bootstrap, senders.sent, report)
        proofs.balanced(ledger.read(settings, scan=True), report)
        report.wrong += senders.failed
        report.answers = senders.sent.answers
    except TimeoutError as error:
        error.add_note(f"{report.text()}\n{crew.tails()}")
        raise
    finally:
        crew.stop()
    report.seconds = time.monotonic() - begin
    return report


def rage(plan: Plan, crew: Crew, broker: RunningBroker, senders: Senders, report: Report) -> None:
    """Kill at the plan's moments until all kills are done and everything is sent."""
    dice = random.Random(plan.seed)
    moments = sorted(_moments(plan, dice))
    begin = time.monotonic()
    while moments or senders.running():
        crew.tick()
        if moments and time.monotonic() - begin >= moments[0][0]:
            what = moments.pop(0)[1]
            if what == "broker":
                broker.kill()
                report.kills["broker SIGKILL"] += 1
                time.sleep(dice.uniform(*BROKER_AWAY_S))
                broker.start()
            elif what == "ingress":
                crew.kill("ingress", signal.SIGKILL)
            else:
                crew.kill(dice.choice(crew.workers()), dice.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)))
        time.sleep(TICK_S)


def _moments(plan: Plan, dice: random.Random) -> Iterator[tuple[float, str]]:
    """Give each kill's moment, in seconds from the begin: evenly over the sending, each moved a little."""
    for what, count in (("worker", plan.kills), ("broker", plan.broker_kills), ("ingress", plan.ingress_kills)):
        for n in range(count):
            yield plan.seconds * (n + dice.uniform(0.3, 0.9)) / count, what


def rest(settings: Settings, crew: Crew) -> None:
    """Wait until the flow has committed everything that stands on its topic."""

    def worked_off() -> bool:
        crew.tick()
        try:
            return all(place.lag == 0 for place in positions(settings, FLOW))
        except Unavailable:
            return False

    wait_until(worked_off, QUIET_S, "rest after the storm", every_s=0.2)


def resend(plan: Plan, port: int, senders: Senders) -> None:
    """Send known ids once more, whichever way they came first; `accepted` takes note, so that the proofs expect no event for them."""
    door, accepted = Door(port, senders.sent), senders.sent.accepted
    for name in random.Random(plan.seed).sample(sorted(accepted), min(plan.resend, len(accepted))):
        accepted[name].append(door.deliver(name))
    door.close()
