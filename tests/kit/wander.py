"""Many bent URLs through the client, with name servers that lie; nothing may be connected to."""

import random
from collections import Counter
from ipaddress import ip_address

from connectors.testing import ManualClock
from flows.core.outbound.egress import Policy, Refusal
from flows.core.outbound.urls import Target
from flows.core.settings import load
from flows.wire.egress import Egress
from flows.wire.names import KEPT_S
from flows.wire.telemetry import Telemetry
from tests.kit.egress import post
from tests.kit.urls import Rebinding, fuzzed


async def wander(urls: int, *, seed: int, port: int) -> Counter[str]:
    """Call so many URLs, most of them of `port` on this machine in some spelling, and count what comes of them.

    Every port is allowed and no network is. A name is asked for anew at each call, and its servers answer differently
    each time. What is bent until it is a public address is not called. Raises AssertionError for a URL that was called.
    """
    dice, clock, outcomes = random.Random(seed), ManualClock(), Counter[str]()  # noqa: S311  which URL comes next is no secret
    policy = Policy.of(load({}, egress_ports="1-65535"))
    client = Egress(policy, clock, Telemetry(), resolve=Rebinding(dice))
    for _ in range(urls):
        url = fuzzed(dice, port)
        target = policy.judge(url)
        if isinstance(target, Target) and target.literal:
            assert ip_address(target.host).is_global, url
            outcomes["public"] += 1
            continue
        found = await client.call(post(url))
        assert isinstance(found, Refusal), (url, found)
        outcomes[found.code] += 1
        clock.advance(int(KEPT_S * 1000))
    client.close()
    return outcomes
