"""A running lab in Python: events between frames, frames in line, steps, and mistakes that are told at once."""

import pytest
from fabric_runs import ADDRESSES, BROADCAST, NAMES, frame, lab

from iochain import Lab, Net
from iochain.chain import Reason
from iochain.engine.network import Engine
from iochain.experiment.actions import (
    CutCable,
    LinkDown,
    LinkSpeed,
    LinkUp,
    MendCable,
    Move,
    NicUp,
    PowerOff,
    PowerOn,
    Send,
    SetMac,
    cut_cable,
    link_down,
    link_speed,
)
from iochain.experiment.live import GENERATED, Live
from iochain.replay import Fate

SECOND = 10**9
engines = pytest.mark.parametrize("engine", [Engine.PLAIN, Engine.PATHS])


def sent(source: str, destination: str = "") -> bytes:
    to = ADDRESSES[NAMES.index(destination)] if destination else BROADCAST
    return frame(to, ADDRESSES[NAMES.index(source)], bytes(46))


def told(fates: list[Fate]) -> list[tuple[str, Reason | None]]:
    return [(fate.port, fate.reason) for fate in fates if fate.source != GENERATED]


@engines
def test_through_two_switches_and_back(engine: Engine) -> None:
    net = lab().start(engine)
    net.send(sent("a0"), "a0")
    assert net.send(sent("c1", "a0"), "c1").ports == ("a0",)
    outcome = net.send(sent("a0", "c1"), "a0")
    assert outcome.ports == ("c1",)
    places = [step.where for step in outcome.explanation.steps]
    assert list(dict.fromkeys(places))[:4] == [
        "a0 → vSwitch0",
        "a.vSwitch0",
        "uplinks of a.Prod a",
        "vSwitch0 → a.vmnic0",
    ]
    assert "sw1" in places
    assert "sw2" in places
    net.stop()


@engines
def test_a_link_down_is_seen_at_the_next_poll(engine: Engine) -> None:
    net = lab().start(engine)
    net.send(sent("c1"), "c1")
    net.at("5050 ms", link_down("a.vmnic0"))
    for time in ("5 s", "5060 ms", "5200 ms"):
        net.offer(sent("a0", "c1"), "a0", time)
    fates = told(net.run("10 s"))
    assert fates == [("c1", None), ("a.vmnic0", Reason.LINK_DOWN), ("c1", None)]
    assert net.now_ns == 10 * SECOND


@engines
def test_what_is_on_a_cable_is_lost_with_it(engine: Engine) -> None:
    net = lab().start(engine)
    net.send(sent("c1"), "c1")
    net.offer(sent("a0", "c1"), "a0", "1 s")
    net.at(SECOND + 12_000, CutCable("sw1.5"))  # it takes 20 us, and the frame is on it
    (fate,) = net.run("2 s")
    assert fate.dropped is not None
    assert (fate.port, fate.reason, fate.time_ns) == ("sw1.5", Reason.CABLE_CUT, SECOND + 12_000)
    assert fate.dropped.where == "sw1.5 → sw2.5"
    assert net.network.held == 0


@engines
def test_a_cable_that_is_cut_in_one_direction(engine: Engine) -> None:
    net = lab().start(engine)
    net.at(0, cut_cable("a.vmnic0", toward="sw1.2"))
    net.run("1 s")
    assert "a0" not in net.send(sent("c1"), "c1").ports
    assert {fate.reason for fate in net.send(sent("a0"), "a0").drops} == {Reason.CABLE_CUT}
    net.at("2 s", MendCable("a.vmnic0"))
    net.run("3 s")
    assert "a0" in net.send(sent("c1"), "c1").ports


@engines
def test_vms_that_go_and_come(engine: Engine) -> None:
    net = lab().start(engine)
    net.at("1 s", PowerOff("b0"))
    net.at("3 s", PowerOn("b0"))
    assert "b0" in net.send(sent("b1"), "b1").ports
    net.run("2 s")
    assert "b0" not in net.send(sent("b1"), "b1").ports
    net.run("4 s")
    assert "b0" in net.send(sent("b1"), "b1").ports


@engines
def test_a_frame_that_is_sent_when_something_is_due(engine: Engine) -> None:
    net = lab().start(engine)
    net.send(sent("c1"), "c1")
    net.at("5050 ms", LinkDown("a.vmnic0"))
    assert not net.run("5050 ms")
    assert told([*net.send(sent("a0", "c1"), "a0").drops]) == [("a.vmnic0", Reason.LINK_DOWN)]
    net.at("5060 ms", LinkUp("a.vmnic0"))
    assert net.send(sent("a0", "c1"), "a0", "5060 ms").ports == ("c1",)


def test_beacons_of_the_first_moment_do_not_swallow_a_frame() -> None:
    host = Lab().host("esx1")
    teaming = {"failure_detection": "beacon"}
    prod = host.vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"]).portgroup("Prod", teaming=teaming)
    web, _ = prod.vm("web", mac="00:50:56:00:00:01"), prod.vm("db", mac="00:50:56:00:00:02")
    host.lab.physical_switch("sw1", count=2)
    host.lab.cable("esx1.vmnic0", "sw1.1").cable("esx1.vmnic1", "sw1.2")
    assert web.send(bytes.fromhex("0050 5600 0002 0050 5600 0001 88b5") + bytes(46)).ports == ("db",)


@engines
def test_frames_in_line_wait_for_their_time_while_others_are_sent(engine: Engine) -> None:
    net = lab().start(engine)
    net.send(sent("c1"), "c1")
    net.offer(sent("a0", "c1"), "a0", "5060 ms")
    net.offer(sent("a0", "c1"), "a0", "1 s")
    assert net.send(sent("a0", "c1"), "a0").ports == ("c1",)
    net.at("5050 ms", LinkDown("a.vmnic0"))
    fates = [fate for fate in net.run("20 s") if fate.source != GENERATED]
    assert told(fates) == [("c1", None), ("a.vmnic0", Reason.LINK_DOWN)]
    assert [fate.time_ns // SECOND for fate in fates] == [1, 5]


def test_step_by_step() -> None:
    net = lab().start()
    net.at("2 s", Send(sent("a0", "a1"), "a0"))
    net.at("1 s", lambda live: seen.append(live.now_ns))
    seen: list[int] = []
    assert net.step() == []
    assert (seen, net.now_ns) == ([SECOND], SECOND)
    net.step()
    assert told(net.run("3 s")) == [("a1", None)]


def test_every_period() -> None:
    net = lab().start()
    times: list[int] = []

    def note(live: Live) -> None:
        times.append(live.now_ns)

    timer = net.every("250 ms", note)
    net.every("1 s", lambda live: timer.cancel(), start="600 ms")
    net.run("2 s")
    assert times == [SECOND // 4, SECOND // 2]


def test_windows_are_reported() -> None:
    net = lab().start()
    net.at("1 s", LinkDown("a.vmnic0"))
    net.run("10 s")
    assert net.network.report.causes["control event"] >= 1
    assert str(net.network.report).startswith(f"{net.network.report.windows} windows (")


def several() -> Net:
    net = lab().start()
    net.run("7 s")
    return net


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (LinkDown("a.vmnic7"), 'there is no port "a.vmnic7"; is "a.vmnic1" meant?'),
        (LinkUp("a0"), '"a0" has no link: it is no uplink, and no port of a physical switch'),
        (CutCable("sw1.55"), 'there is no cable "sw1.55"'),
        (CutCable("sw1.5", toward="sw1.1"), '"sw1.1" is no end of cable sw1.5 to sw2.5; its ends are sw1.5 and sw2.5'),
        (PowerOff("a9"), 'there is no VM "a9"'),
        (Move("a0", host="d"), 'there is no host "d"'),
        (Move("a0", portgroup="Prod d"), 'there is no port group "Prod d"; is "Prod'),
        (Move("a0"), "a0 moves nowhere: say portgroup, host, or both"),
        (Send(b"short", "a0"), "5 bytes are no Ethernet frame"),
        (SetMac("nobody", "00:50:56:00:00:01"), 'there is no port "nobody"'),
        ("link_down", "'link_down' is no action"),
    ],
)
def test_mistakes_of_actions(action: object, message: str) -> None:
    with pytest.raises((LookupError, ValueError)) as wrong:
        several().at("8 s", action)  # type: ignore[arg-type]
    assert message in str(wrong.value.args[0])


def test_mistakes_of_times() -> None:
    net, alone = several(), Lab()
    alone.host("esx1").vswitch("vSwitch0").portgroup("Prod").vm("web")
    with pytest.raises(ValueError, match="an event at 5 s is in the past: it is 7 s already"):
        net.at("5 s", LinkDown("a.vmnic0"))
    with pytest.raises(ValueError, match="6 s is in the past: it is 7 s already"):
        net.run("6 s")
    with pytest.raises(ValueError, match="a frame cannot be sent at 0 ns: it is 7 s already"):
        net.send(sent("a0"), "a0", 0)
    with pytest.raises(ValueError, match="is no time"):
        net.at("soon", LinkDown("a.vmnic0"))
    with pytest.raises(ValueError, match="is no time"):
        net.run(-1)
    with pytest.raises(ValueError, match="no Ethernet frame"):
        net.offer(b"", "a0")
    with pytest.raises(LookupError, match="nothing more will happen"):
        alone.start().step()


def test_values_of_actions_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="is no MAC address"):
        SetMac("a0", "00:50")
    with pytest.raises(ValueError, match="is no address of an adapter"):
        SetMac("a0", "ff:ff:ff:ff:ff:ff")
    with pytest.raises(ValueError, match="is no address of an adapter"):
        SetMac("a0", "00:00:00:00:00:00")
    with pytest.raises(ValueError, match=r"0 is out of range \(1 kbit/s to 1 Tbit/s\)"):
        LinkSpeed("a.vmnic0", 0)
    with pytest.raises(ValueError, match=r"\"both\" is not allowed here \(full, half\)"):
        link_speed("a.vmnic0", "1 Gbit/s", "both")


def test_a_cable_may_have_any_name() -> None:
    made = Lab()
    made.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod").vm("web")
    made.physical_switch("sw1", count=1)
    made.cable("esx1.vmnic0", "sw1.1", name="nic")  # the name of another cause of a lost link
    net = made.start()
    net.at("1 s", CutCable("nic"))
    net.at("2 s", NicUp("vmnic0"))
    net.run("3 s")
    assert not net.live.hosts.links.of("vmnic0").has_link


@engines
def test_two_hosts_with_a_cable_between_them(engine: Engine) -> None:
    made = Lab()
    for number, name in enumerate(("a", "b")):
        group = made.host(name).vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup(f"Prod {name}", vlan=10)
        group.vm(f"{name}0", mac=ADDRESSES[2 * number].hex(":"))
    made.cable("a.vmnic0", "b.vmnic0", latency="1 us")
    net = made.start(engine)
    (fate,) = net.send(sent("a0", "b0"), "a0").deliveries
    assert (fate.port, fate.time_ns) == ("b0", 1_000 + (64 + 4 + 8) * 8 // 10 + 1)
    net.stop()
