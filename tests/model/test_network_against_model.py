"""Random networks to which random things happen: both engines and the slow network agree on every copy and every drop.

Each run is a site, and steps: frames are sent, links are lost, cables cut, VMs powered and moved, time goes by. After
each stretch of time everything that happened is compared: deliveries with their bytes and times, drops with their
places and reasons, what physical switches learned, which uplinks teams use. The number of sites is 100, or what the
environment variable IOCHAIN_EXAMPLES says. The last test shows that the sites were worth it.
"""

import os
from collections import Counter
from typing import Any

from comparisons import long_run, skip_unless_run
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from sites_and_events import GAPS, SPANS, Action, Sending, actions, as_iochain, as_iochain_action, sendings, sites
from slow_network import GENERATED, Fate, Site, SlowNetwork

import iochain
from iochain import Engine, Net

EXAMPLES = int(os.environ.get("IOCHAIN_EXAMPLES", "100"))
STEPS = 20
OFTEN = [
    "LINK_DOWN",
    "BLOCKED",
    "NO_UPLINK",
    "DISCONNECTED",
    "REVERSE_PATH",
    "REFLECTION",
    "UNKNOWN_UNICAST",
    "NO_PORT",
    "VLAN_MISMATCH",
    "MTU_EXCEEDED",
]
LONG_RUN = 500
RARELY = ["NO_LINK", "CABLE_CUT", "BPDU_GUARD", "ERR_DISABLED", "TRANSMIT_QUEUE"]

met: Counter[str] = Counter()
"""Sites, deliveries, drops by reason, changes of uplinks, RARP frames, cut windows, over the whole run."""


def of_the_machine(make: Any) -> st.SearchStrategy[Any]:
    """A strategy that depends on the network as it is."""
    return st.runner().flatmap(lambda machine: make(machine.slow))


class ChangingNetwork(RuleBasedStateMachine):
    """A site in three forms that have to agree."""

    slow: SlowNetwork
    nets: list[Net]

    @initialize(site=sites())
    def start(self, site: Site) -> None:
        self.slow = SlowNetwork(site)
        self.nets = [as_iochain(site).start(engine) for engine in (Engine.PLAIN, Engine.PATHS)]
        met["sites"] += 1

    @rule(sent=of_the_machine(lambda slow: st.lists(st.tuples(st.sampled_from(GAPS), sendings(slow)), max_size=12)))
    def send(self, sent: list[tuple[int, Sending]]) -> None:
        time_ns = self.slow.now
        for gap_ns, one in sent:
            time_ns += gap_ns
            self.slow.offer(time_ns, one.port, one.data)
            for net in self.nets:
                net.offer(one.data, one.port, time_ns)

    @rule(happen=of_the_machine(lambda slow: st.lists(st.tuples(st.sampled_from(GAPS), actions(slow)), max_size=4)))
    def change(self, happen: list[tuple[int, Action]]) -> None:
        time_ns = self.slow.now
        for gap_ns, action in happen:
            time_ns += gap_ns
            self.slow.at(time_ns, lambda action=action: getattr(self.slow, action[0])(*action[1]))  # type: ignore[misc]
            for net in self.nets:
                net.at(time_ns, as_iochain_action(action))

    @rule(uplink=of_the_machine(lambda slow: st.sampled_from(slow.uplinks)), lost_ns=st.sampled_from([1, *SPANS[-4:]]))
    def lose_and_give_back(self, uplink: str, lost_ns: int) -> None:
        self.change([(0, ("link_down", (uplink,))), (lost_ns, ("link_up", (uplink,)))])
        self.compare(self.slow.now + lost_ns + SPANS[-2])

    @rule(span_ns=st.sampled_from(SPANS))
    def run(self, span_ns: int) -> None:
        self.compare(self.slow.now + span_ns)

    def teardown(self) -> None:
        if hasattr(self, "nets"):
            self.compare(self.slow.now + SPANS[-1])
            met["cut windows"] += sum(
                count for cause, count in self.nets[1].network.report.causes.items() if cause == "learning"
            )
            met["failovers"] += self.slow.failovers

    def compare(self, until_ns: int) -> None:
        """Run all three up to a moment; what happened, and what they know now, is the same."""
        expected = self.slow.run(until_ns)
        met.update(fate.reason or "delivered" for fate in expected)
        met["rarp delivered"] += sum(fate.source == GENERATED and not fate.reason for fate in expected)
        lists = [net.run(until_ns) for net in self.nets]
        assert lists[0] == lists[1]
        for net, fates in zip(self.nets, lists, strict=True):
            found = sorted(_as_slow(net, fate) for fate in fates)
            only = [fate for fate in found if fate not in expected], [fate for fate in expected if fate not in found]
            assert only == ([], [])  # iochain's and the model's
            assert found == expected
            assert _learned(net) == self.slow.learned
            assert _moves(net) == self.slow.moves
            assert _used(net) == self.slow.used
            counters = net.network.counters
            assert (counters.entered, counters.generated) == (self.slow.entered, self.slow.generated)
            assert counters.consumed == self.slow.consumed
            counters.check(net.network.held)


def _as_slow(net: Net, fate: iochain.Fate) -> Fate:
    """A fate in the slow network's words."""
    if fate.dropped is None:
        return Fate(fate.time_ns, fate.source, fate.frame, fate.port, data=fate.data)
    port = net.wiring.ports[fate.dropped.port].name
    direction = "in" if fate.dropped.incoming else "out"
    return Fate(fate.time_ns, fate.source, fate.frame, port, direction, fate.dropped.drop.reason.name)


def _learned(net: Net) -> dict[str, dict[tuple[int, bytes], str]]:
    return {
        switch.name: {
            (vlan, mac.to_bytes(6, "big")): place for (vlan, mac), place in switch.learned.entries().items() if place
        }
        for switch in net.wiring.fabric.switches.values()
    }


def _moves(net: Net) -> dict[tuple[str, bytes], int]:
    return {
        (switch, int(mac).to_bytes(6, "big")): count for (switch, mac), count in net.wiring.fabric.mac_moves().items()
    }


def _used(net: Net) -> dict[tuple[str, str], list[str]]:
    return {
        (team.host, team.portgroup): list(net.wiring.tables[team.host].in_use.get(team.name))
        for team in net.wiring.teams()
    }


ChangingNetwork.TestCase.settings = settings(long_run(EXAMPLES), stateful_step_count=STEPS)


TestChangingNetwork = ChangingNetwork.TestCase


def test_much_happened() -> None:
    skip_unless_run(met)
    for what in ("failovers", "delivered", "rarp delivered", "cut windows"):
        assert met[what] >= EXAMPLES // 2, (what, met)
    for reason in OFTEN:
        assert met[reason] >= EXAMPLES // 10, (reason, met)
    if EXAMPLES >= LONG_RUN:
        for reason in RARELY:
            assert met[reason] >= EXAMPLES // LONG_RUN, (reason, met)
