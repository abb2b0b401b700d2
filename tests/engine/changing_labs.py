"""Labs that change while they run, as data: what is changed between which frames, and what an engine makes of it.

The labs and frames are those of the slow model. What is added: rates and shapers that make frames wait and get lost,
stages of users of every kind, tables that stages learn or that are set from outside, and settings changed between runs.
"""

import sys
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from attrs import field, frozen
from hypothesis import strategies as st
from scapy.packet import Packet

import iochain
from iochain.batch import FOREVER, Batch, Instant, Waiting, batch_of, order_of
from iochain.chain import Chain, Drop, Passed, Port, Ports, Reason, Verdict
from iochain.engine.explanation import Explanation, Step
from iochain.engine.network import Engine, Network
from iochain.engine.remembered import Remembered
from iochain.frame import Derived, Frame, Table
from iochain.kernels import words as w
from iochain.kernels.order import is_sorted
from iochain.replay import Fate, fates_of
from iochain.topology.spec import LoadBalancing
from iochain.topology.wiring import Wiring
from iochain.vswitch.forwarding import Refused
from iochain.vswitch.teaming import first_in_order, in_use

sys.path.insert(0, str(Path(__file__).parents[1] / "model"))  # where the strategies of the slow model stand

from labs_and_frames import MACS, PROGRAMMED, STRANGERS, as_iochain, frames, labs, payloads
from slow_model import BROADCAST, VGT, Client, Lab, Switch, group_of, names

GAPS_NS = [0, 0, 1, 1000, 100_000, 10_000_000]
START_NS = 1_700_000_000_000_000_000
VLANS = [0, 10, 20, 4095]
PRIVATE = IPv4Network("128.0.0.0/2")

# -- stages of users


@frozen
class Learns:
    """What a physical switch does: a source is learnt where it was seen, a known destination gets the frame alone."""

    seen: Table[int, str] = field(repr=False)

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        if frame.ask(self.seen, frame.source) != port.name:
            frame.learn(self.seen, frame.source, answer=port.name)
        known = frame.ask(self.seen, frame.destination)
        return Ports((known,)) if known and known != port.name else frame


@frozen
class Quota:
    """Lets a few frames of each source pass: a walk that writes, again and again, and then one that does not."""

    seen: Table[int, int] = field(repr=False)
    most: int = 3

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        count = frame.ask(self.seen, frame.source)
        if count >= self.most:
            return Drop(Reason.STAGE, f"more than {self.most}")
        frame.learn(self.seen, frame.source, answer=count + 1)
        return frame


@frozen
class Spoke:
    """Notes who spoke, for :class:`Heard` at another junction."""

    talks: Table[int, bool] = field(repr=False)

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        if not frame.ask(self.talks, frame.source):
            frame.learn(self.talks, frame.source, answer=True)
        return frame


@frozen
class Heard:
    """Lets only those pass that :class:`Spoke` has seen."""

    talks: Table[int, bool] = field(repr=False)

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        return frame if frame.ask(self.talks, frame.source) else Drop(Reason.STAGE, "a stranger")


@frozen
class Listed:
    """Drops what a table says, which is set from outside only."""

    blocked: Table[int, bool] = field(repr=False)

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        return Drop(Reason.STAGE, "listed") if frame.ask(self.blocked, frame.source) else frame


def odd_length(words: Any, _argument: int) -> int:
    return int(words[w.WIRE_LENGTH]) & 1


ODD_LENGTH = Derived("odd length", odd_length, 0, 2)


def picky(frame: Frame, port: Port) -> Verdict:
    """Reads bits here and there, more of them for some frames than for others."""
    if frame.ipv4 is not None:
        source = frame.ipv4.source
        if source is not None and source.within(PRIVATE):
            return frame.with_tci(10 if frame.transport == 6 else 0)
        return frame if frame.destination_port is None or not frame.destination_port & 1 else Drop(Reason.STAGE, "odd")
    if frame.ipv6 is not None and frame.wire_length > 100:
        return frame.on_vlan(20)
    if frame.derive(ODD_LENGTH):
        return Drop(Reason.STAGE, f"priority {frame.priority}") if frame.priority else frame.untagged()
    return frame


def whole(frame: Frame, port: Port) -> Verdict:
    """Looks at all bytes."""
    return Drop(Reason.STAGE, "last byte") if bytes(frame.scapy)[-1] & 1 else frame


def on_packet(packet: Packet) -> bytes | None:
    """Cuts long frames short, and drops some."""
    data = bytes(packet)
    return None if data[-1] & 3 == 3 else data[:200]


@frozen
class Late:
    """Holds frames for 50 µs."""

    def start(self) -> Waiting:
        return Waiting()

    def run(self, state: Waiting, batch: Batch, until: Instant) -> Passed:
        rows = batch.rows.copy()
        rows["time_ns"] += 50_000
        return Passed(state.release(Batch(rows, batch.pins), until))


OWN = ["learns", "quota", "spoke", "heard", "listed", "picky", "whole", "on packet", "late"]


@frozen
class Own:
    """A stage of a user's own at a place: chain "input" or "output" of a port, or "switch"; ``at`` counts from 0."""

    kind: str
    place: str
    chain: str
    at: int


@frozen
class Tables:
    """What the users' stages of one lab remember; it outlives a run, but what stages wrote is undone."""

    seen: Table[int, str] = field(factory=lambda: Table("seen", ""))
    quota: Table[int, int] = field(factory=lambda: Table("quota", 0))
    talks: Table[int, bool] = field(factory=lambda: Table("talks", default=False))
    blocked: Table[int, bool] = field(factory=lambda: Table("blocked", default=False))

    def stage(self, kind: str) -> Any:
        """A stage of this kind."""
        stages: dict[str, Any] = {
            "learns": Learns(self.seen),
            "quota": Quota(self.quota),
            "spoke": Spoke(self.talks),
            "heard": Heard(self.talks),
            "listed": Listed(self.blocked),
            "picky": picky,
            "whole": whole,
            "on packet": on_packet,
            "late": Late(),
        }
        return stages[kind]


def put_in(own: Sequence[Own], wiring: Wiring, tables: Tables) -> None:
    """Insert users' stages into the chains of a wiring."""
    for number, one in enumerate(own):
        is_switch = one.chain == "switch"
        chain: Chain = wiring.switch_chain(one.place) if is_switch else wiring.chain(one.place, one.chain)  # type: ignore[arg-type]
        before = "forwarding" if is_switch else (chain.names[one.at] if one.at < len(chain) else None)
        chain.insert(tables.stage(one.kind), before=before, name=f"own {number}: {one.kind}")


# -- what happens


@frozen
class Send:
    """A frame at a port, so long after the one before."""

    port: str
    data: bytes = field(repr=lambda data: data[:40].hex())
    gap_ns: int


@frozen
class Set:
    """An entry of a table gets an answer. ``table`` is one of a host, of a switch, or of users' stages."""

    table: str
    place: str
    key: Any
    answer: Any


@frozen
class Links:
    """Just these uplinks have a link; teams follow, as whoever watches links has them do."""

    up: frozenset[str]


Happening = Send | Set | Links


@frozen
class Run:
    """A run of the lab with some settings changed: windows of happenings, their changes first."""

    settings: tuple[str, ...]
    windows: tuple[tuple[Happening, ...], ...]


@frozen
class Story:
    """A lab, stages of users in it, and runs of it, one after the other."""

    lab: Lab = field(repr=False)
    own: tuple[Own, ...]
    runs: tuple[Run, ...]
    most_keys: int


def apply(change: Set | Links, wiring: Wiring, tables: Tables) -> None:
    """Do a change to a running lab."""
    if isinstance(change, Links):
        _set_links(change.up, wiring)
        return
    host = wiring.tables["esx1"]
    known: dict[str, Any] = {"seen": tables.seen, "quota": tables.quota, "talks": tables.talks}
    known |= {"blocked": tables.blocked, "in use": host.in_use, "up": host.up, "portgroups": host.portgroups}
    if change.place:
        forwarding = wiring.forwarding(change.place)
        known |= {"macs": forwarding.macs, "members": forwarding.members, "refused": forwarding.refused}
    known[change.table].set(change.key, change.answer)


def _set_links(up: frozenset[str], wiring: Wiring) -> None:
    host = wiring.tables["esx1"]
    for port in wiring.ports:
        if port.uplink:
            host.up.set(port.number, port.name in up)
    for team in wiring.teams():
        choose = first_in_order if team.policy.load_balancing.value is LoadBalancing.EXPLICIT else in_use
        host.in_use.set(team.name, choose(team.policy.active.value, team.policy.standby.value, up))


# -- strategies


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """A lab with everything in it that can change."""
    lab: Lab = draw(labs())
    usually = [*draw(usual(lab)), *draw(usual(lab))]
    pool = draw(st.permutations([*draw(st.lists(frames(lab), min_size=3, max_size=5)), *usually]))
    sends = st.builds(
        lambda sent, gap_ns: Send(sent[0], sent[1], gap_ns), st.sampled_from(pool), st.sampled_from(GAPS_NS)
    )
    windows = st.lists(sends, min_size=1, max_size=12)
    slow = draw(st.lists(slow_settings(lab), min_size=1, max_size=3)) if draw(st.integers(0, 2)) == 2 else []
    if slow:  # many frames at one moment
        sends = st.builds(lambda sent: Send(sent[0], sent[1], 0), st.sampled_from(pool[:3]))
        windows = st.lists(sends, min_size=6, max_size=16)
    runs = []
    for number in range(draw(st.integers(1, 3))):
        more = draw(st.lists(changed_settings(lab), min_size=1, max_size=3)) if number else []
        made = [(*draw(st.lists(changes(lab), max_size=2)), *draw(windows)) for _ in range(draw(st.integers(1, 4)))]
        runs.append(Run(tuple(s for some in (*slow, *more) for s in some), tuple(made)))
    own = draw(st.lists(own_stages(lab), min_size=1, max_size=3)) if draw(st.integers(0, 2)) == 2 else []
    return Story(lab, tuple(own), tuple(runs), draw(st.sampled_from([1 << 22, 1 << 22, 5])))


@st.composite
def usual(draw: st.DrawFn, lab: Lab) -> list[tuple[str, bytes]]:
    """Frames that have good prospects: among two clients of one VLAN, from one to everybody and outside, and back."""
    switch: Switch = draw(st.sampled_from(lab.switches))
    one: Client = draw(st.sampled_from([client for client in switch.clients if client.connected] or switch.clients))
    vlan = group_of(switch, one).vlan
    beside = [client for client in switch.clients if client is not one and group_of(switch, client).vlan == vlan]
    other: Client = draw(st.sampled_from(beside or switch.clients))
    outside, tag = STRANGERS[0], b"" if vlan in (0, VGT) else b"\x81\x00" + vlan.to_bytes(2, "big")
    rest = [draw(payloads(300))[:200] for _ in range(2)]
    made = [
        (one.name, other.effective_mac + one.mac + rest[0]),
        (other.name, one.effective_mac + other.mac + rest[1]),
        (one.name, BROADCAST + one.mac + rest[0]),
        (one.name, outside + one.mac + rest[1]),
    ]
    if draw(st.integers(0, 3)) == 3:
        made.append((one.name, bytes.fromhex("0180c2000000") + one.mac + b"\0\x26\x42\x42\3" + bytes(43)))
    live = [uplink for uplink in switch.uplinks if uplink in lab.live]
    return [*made, *((uplink, one.effective_mac + outside + tag + rest[0]) for uplink in live)]


@st.composite
def own_stages(draw: st.DrawFn, lab: Lab) -> Own:
    """A user's stage at some place where it may stand."""
    kind = draw(st.sampled_from(OWN))
    switch: Switch = draw(st.sampled_from(lab.switches))
    if kind == "learns" or (kind in ("quota", "listed", "picky", "whole") and not draw(st.integers(0, 3))):
        return Own(kind, switch.name, "switch", 0)
    chain = {"spoke": "input", "heard": "output"}.get(kind) or draw(st.sampled_from(["input", "output"]))
    port = draw(st.sampled_from([*names(switch), *switch.uplinks]))
    return Own(kind, port, chain, draw(st.integers(0, 3)))


@st.composite
def slow_settings(draw: st.DrawFn, lab: Lab) -> tuple[str, ...]:
    """Rates at which frames wait, and short queues in which they are lost."""
    switch: Switch = draw(st.sampled_from(lab.switches))
    group = draw(st.sampled_from(switch.groups)).name
    shaped = (
        f"portgroup.{group}.shaping.average=100 kbit/s",
        f"portgroup.{group}.shaping.burst=1500",
        "host.esx1.settings.Net.NetShaperQueueSizeMin=1",
    )
    if not switch.uplinks or draw(st.booleans()):
        return shaped
    speed = f"nic.{draw(st.sampled_from(switch.uplinks))}.speed=10 Mbit/s"
    return (speed, f"host.esx1.settings.Net.MaxNetifTxQueueLen={draw(st.sampled_from([1, 1, 4]))}")


@st.composite
def changed_settings(draw: st.DrawFn, lab: Lab) -> tuple[str, ...]:
    """A policy, an attribute of a port, or a setting of the host that is another from one run to the next."""
    switch: Switch = draw(st.sampled_from(lab.switches))
    group = f"portgroup.{draw(st.sampled_from(switch.groups)).name}"
    answer = draw(st.sampled_from(["accept", "reject"]))
    kinds = [f"{group}.{name}={answer}" for name in ("promiscuous", "mac_changes", "forged_transmits")]
    kinds.append(f"hosts.esx1.vswitches.{switch.name}.mtu={draw(st.sampled_from([300, 1500, 9000]))}")
    kinds.append(f"host.esx1.settings.Net.BlockGuestBPDU={draw(st.integers(0, 1))}")
    kinds.append(f"host.esx1.settings.Net.ReversePathFwdCheck={draw(st.integers(0, 1))}")
    vms = [client.name for client in switch.clients if not client.is_vmkernel]
    if vms:
        vm = f"vm.{draw(st.sampled_from(vms))}"
        kinds.append(f"{vm}.effective_mac={draw(st.sampled_from([*MACS, *PROGRAMMED])).hex(':')}")
        kinds.append(f"{vm}.promiscuous={draw(st.sampled_from(['yes', 'no']))}")
        kinds.append(f"{vm}.connected={draw(st.sampled_from(['yes', 'yes', 'no']))}")
    return (draw(st.sampled_from(kinds)),)


@st.composite
def changes(draw: st.DrawFn, lab: Lab) -> Set | Links:
    """A change of a running lab."""
    switch: Switch = draw(st.sampled_from(lab.switches))
    every = [uplink for one in lab.switches for uplink in one.uplinks]
    kind = draw(st.sampled_from(["links", "links", "in use", "macs", "members", "refused", "users"]))
    vlan = draw(st.sampled_from(VLANS))
    mac = int.from_bytes(draw(st.sampled_from([*MACS, *PROGRAMMED, *STRANGERS])), "big")
    everybody = tuple(names(switch))
    port = draw(st.sampled_from(everybody))
    if kind == "links" or (kind == "in use" and not switch.uplinks):
        down = draw(st.lists(st.sampled_from(every), max_size=2)) if every else []
        return Links(frozenset(every).difference(down))
    if kind == "in use":
        some = draw(st.lists(st.sampled_from(switch.uplinks), unique=True))
        return Set("in use", "", f"uplinks of {draw(st.sampled_from(switch.groups)).name}", tuple(some))
    if kind == "macs":
        return Set("macs", switch.name, (vlan, mac), draw(st.sampled_from([(), (port,)])))
    if kind == "members":
        return Set("members", switch.name, (vlan, 0), draw(st.sampled_from([(), everybody, everybody])))
    if kind == "refused":
        setting = iochain.From("reject", "a change while it ran")
        return Set("refused", switch.name, (vlan, mac), draw(st.sampled_from([None, Refused(port, setting)])))
    table = draw(st.sampled_from(["seen", "quota", "talks", "blocked", "blocked"]))
    answers: dict[str, list[Any]] = {"seen": ["", port], "quota": [0, 3]}
    return Set(table, "", mac, draw(st.sampled_from(answers.get(table, [True, False]))))


# -- what an engine makes of it


@frozen
class Ended:
    """Everything that can be seen of one run: fates window by window, explanations of frames, counters."""

    fates: tuple[tuple[Fate, ...], ...]
    texts: tuple[tuple[str, ...], ...]
    explained: dict[int, list[Step]]
    counted: tuple[Any, ...]
    walks: int
    decided: int
    forgotten: int


def told(story: Story, engine: Engine, listened: int = 0, walked_first: int = 0) -> list[Ended]:
    """What an engine makes of each run. ``listened``: bits that say which frames are explained, -1 for all."""
    tables = Tables()
    return [_ran(story, run, tables, engine, listened, walked_first) for run in story.runs]


def _ran(story: Story, run: Run, tables: Tables, engine: Engine, listened: int, walked_first: int) -> Ended:
    wiring = as_iochain(story.lab).with_settings(run.settings).wiring
    put_in(story.own, wiring, tables)
    network = Network.of(wiring, engine=engine)
    if isinstance(network.decider, Remembered):
        network.decider.most_keys, network.decider.walked_first = story.most_keys, walked_first
    explained: dict[int, Explanation] = {}
    found = []
    for changes_before, sends, until in _timed(run):
        for change in changes_before:
            apply(change, wiring, tables)
        batch = batch_of([(send.data, time_ns) for send, time_ns, _ in sends], first_serial=sends[0][2])
        batch.rows["port"] = [wiring.port(send.port).number for send, _, _ in sends]
        for _, _, serial in sends:
            if listened >> serial % 64 & 1:
                explained[serial] = Explanation()
                network.listen(order_of(0, serial), explained[serial])
        fates = network.run(batch, until)
        assert all(is_sorted(some.rows) for some in (fates.delivered, fates.dropped))
        found.append(tuple(fates_of(wiring, fates)))
        network.counters.check(network.held)
    decider, counters = network.decider, network.counters
    statistics = decider.statistics if isinstance(decider, Remembered) else None
    drops = sorted((str(drop.dropped), repr(drop)) for drop in counters.drops.values())
    sums = (counters.entered, counters.copied, counters.split, counters.delivered, counters.dropped, counters.merged)
    assert network.held == 0
    network.restore()
    return Ended(
        tuple(found),
        tuple(tuple(f"{fate.dropped}; {fate.setting}" for fate in window) for window in found),
        {serial: explanation.steps for serial, explanation in explained.items()},
        (counters.ports.tolist(), drops, sums),
        *((statistics.walks, statistics.frames, statistics.forgotten) if statistics else (0, 0, 0)),
    )


def _timed(run: Run) -> Iterator[tuple[list[Set | Links], list[tuple[Send, int, int]], Instant]]:
    """Windows: changes, frames with times and serials, and the first frame of the next window as the end."""
    time_ns, serial = START_NS, 0
    windows: list[tuple[list[Set | Links], list[tuple[Send, int, int]]]] = []
    for window in run.windows:
        sends = []
        for happening in window:
            if isinstance(happening, Send):
                time_ns, serial = time_ns + happening.gap_ns, serial + 1
                sends.append((happening, time_ns, serial))
        windows.append(([one for one in window if not isinstance(one, Send)], sends))
    for number, (before, sends) in enumerate(windows):
        after = windows[number + 1][1][0] if number + 1 < len(windows) else None
        yield before, sends, FOREVER if after is None else Instant(after[1], order_of(0, after[2]))
