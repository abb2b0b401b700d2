"""Labs with several hosts and physical switches, frames and events for them, and ways to run them in windows."""

from collections.abc import Sequence
from typing import Any

from attrs import field, frozen
from hypothesis import strategies as st

from iochain import Lab
from iochain.batch import FOREVER, Batch, Instant, batch_of
from iochain.engine.counters import Counters
from iochain.engine.network import Engine
from iochain.experiment.actions import CutCable, LinkDown, LinkUp, MendCable, NicDown, NicUp, PowerOff, PowerOn
from iochain.experiment.live import Action
from iochain.experiment.running import Experiment
from iochain.replay import Fate, fates_of

BROADCAST = b"\xff" * 6
BPDU = bytes.fromhex("0180c2000000")
SETTINGS = {"Net.LinkStatePollTimeout": 100, "Net.MaxNetifTxQueueLen": 4, "Net.BlockGuestBPDU": 0}
HOSTS, VMS = ("a", "b", "c"), 2


def address(host: int, vm: int) -> bytes:
    return bytes([0, 0x50, 0x56, 0, host, vm + 1])


ADDRESSES = [address(host, vm) for host in range(len(HOSTS)) for vm in range(VMS)]
NAMES = [f"{host}{vm}" for host in HOSTS for vm in range(VMS)]
CABLES = ["a.vmnic0", "b.vmnic0", "b.vmnic1", "c.vmnic1", "sw1.5"]


def lab(is_redundant: bool = False, ageing: str = "300 s") -> Lab:
    """Three hosts with two uplinks, to two switches with a cable between them, or three switches in a circle."""
    made = Lab()
    for number, name in enumerate(HOSTS):
        host = made.host(name, settings=SETTINGS)
        host.nic("vmnic0", speed="100 Mbit/s").nic("vmnic1", speed="1 Gbit/s")
        switch = host.vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"])
        group = switch.portgroup(f"Prod {name}", vlan=10)
        for vm in range(VMS):
            group.vm(f"{name}{vm}", mac=address(number, vm).hex(":"))
    for switch_name in ("sw1", "sw2", "sw3") if is_redundant else ("sw1", "sw2"):
        physical = made.physical_switch(switch_name, ageing=ageing)
        for port in range(1, 7):
            more: dict[str, Any] = {"speed": "1 Gbit/s"} if port > 4 else {"bpdu_guard": port == 2}
            physical.port(str(port), mode="trunk", queue=4, **more)
    for number, name in enumerate(HOSTS, 2):
        made.cable(f"{name}.vmnic0", f"sw1.{number}", latency="300 ns")
        made.cable(f"{name}.vmnic1", f"sw2.{number}", latency="1 us")
    made.cable("sw1.5", "sw2.5", latency="20 us")
    if is_redundant:
        made.cable("sw2.6", "sw3.5", latency="10 ns")
        made.cable("sw3.6", "sw1.6", latency="1 us")
    return made


@frozen
class Story:
    """What happens: frames by (time, bytes, port), and events by (time, action)."""

    frames: tuple[tuple[int, bytes, str], ...]
    events: tuple[tuple[int, Action], ...] = ()
    batch: Batch = field(init=False, eq=False, repr=False)

    @property
    def made(self) -> list[tuple[bytes, int]]:
        return [(data, time_ns) for time_ns, data, _ in self.frames]


def frame(destination: bytes, source: bytes, body: bytes) -> bytes:
    """A frame of an experimental type; a BPDU where it goes to the address of these."""
    if destination == BPDU:
        return destination + source + b"\x00\x26\x42\x42\x03" + bytes(43)
    return destination + source + b"\x88\xb5" + body


TIMES = [0, 0, 1, 500, 3_000, 7_000, 60_000, 2_000_000, 500_000_000]


@st.composite
def stories(draw: st.DrawFn, with_events: bool = True) -> Story:
    time_ns, frames, events = 1_000, [], []
    for number in range(draw(st.integers(1, 40))):
        time_ns += draw(st.sampled_from(TIMES))
        sender = draw(st.integers(0, len(NAMES) - 1))
        source = ADDRESSES[sender]
        destination = draw(st.sampled_from([*ADDRESSES, *ADDRESSES, BROADCAST, BPDU]))
        body = bytes([number]) * draw(st.sampled_from([46, 46, 200, 1400]))
        frames.append((time_ns, frame(destination, source, body), NAMES[sender]))
        if with_events and draw(st.integers(0, 7)) == 0:
            events.append((time_ns + draw(st.sampled_from([0, 1, 1_000, 100_000])), draw(actions())))
    return Story(tuple(frames), tuple(events))


def actions() -> st.SearchStrategy[Action]:
    links = st.sampled_from(CABLES)
    uplinks = st.sampled_from(CABLES[:-1])
    of_links = st.builds(lambda kind, port: kind(port), st.sampled_from([LinkDown, LinkUp, CutCable, MendCable]), links)
    of_nics = st.builds(lambda kind, port: kind(port), st.sampled_from([NicDown, NicUp]), uplinks)
    of_vms = st.builds(lambda kind, vm: kind(vm), st.sampled_from([PowerOff, PowerOn]), st.sampled_from(NAMES))
    return st.one_of(of_links, of_nics, of_vms)


def started(made: Lab, story: Story, engine: Engine) -> tuple[Experiment, Batch]:
    """An experiment with the story's events on its agenda, and the frames at their ports."""
    wiring = made.start().wiring
    experiment = Experiment.of(wiring, engine=engine)
    experiment.start()
    for time_ns, action in story.events:
        experiment.live.at(time_ns, action)
    batch = batch_of(story.made)
    batch.rows["port"] = [wiring.port(port).number for _, _, port in story.frames]
    return experiment, batch


LAST_NS = 25 * 10**9
"""When all is over, RARP frames too."""


def run(
    made: Lab, story: Story, engine: Engine, ends: Sequence[Instant] = (), size: int | None = None
) -> tuple[list[Fate], Any, Experiment]:
    """The fates and the counters of a story, run in windows with these ends, of at most ``size`` frames at first."""
    experiment, batch = started(made, story, engine)
    if size is not None:
        experiment.network._size = size
    fates: list[Fate] = []
    begin = Instant(0)
    for end in [*ends, FOREVER]:
        inside = [begin <= Instant(int(row["time_ns"]), int(row["order"])) < end for row in batch.rows]
        for window in experiment.windows(batch[inside], end, last_event_ns=LAST_NS):
            fates.extend(fates_of(experiment.network.wiring, window))
        begin = end
    assert experiment.network.held == 0
    return fates, counted(experiment.network.counters), experiment


def run_row_by_row(made: Lab, story: Story, engine: Engine) -> tuple[list[Fate], Any]:
    """The same with a window for each moment at which a frame is anywhere: nothing can be decided in a wrong order."""
    experiment, batch = started(made, story, engine)
    network = experiment.network
    fates: list[Fate] = []
    while True:
        lines = [*network.cables.on_way, network._offered, network._made]
        banks = [depot.bank for half in (network.input, network.output) for depots in half.depots for depot in depots]
        lines += [bank.waiting for bank in banks if hasattr(bank, "waiting")]
        firsts = [line.batch.rows[0] for line in lines if len(line)] + list(batch.rows[:1])
        moments = [Instant(int(row["time_ns"]), int(row["order"]) + 1) for row in firsts]
        event_ns = experiment.agenda.next_ns
        if event_ns is not None and event_ns <= LAST_NS:
            moments.append(Instant(event_ns, 1))
        if not moments:
            break
        end = min(moments)
        inside = [Instant(int(row["time_ns"]), int(row["order"])) < end for row in batch.rows]
        here, batch = batch[inside], batch[[not one for one in inside]]
        for window in experiment.windows(here, end, last_event_ns=LAST_NS):
            fates.extend(fates_of(network.wiring, window))
    return fates, counted(network.counters)


def counted(counters: Counters) -> Any:
    """All that counters say, to compare."""
    drops = sorted(
        (str(drop.dropped), drop.dropped.where, drop.frames, drop.bytes, drop.first_order, drop.first_time_ns)
        for drop in counters.drops.values()
    )
    names = ("entered", "generated", "copied", "split", "delivered", "dropped", "merged", "consumed")
    return counters.ports.tolist(), drops, {name: getattr(counters, name) for name in names}
