"""Labs that are drawn: valid, from the attributes of the specification, and plain where nothing else is wanted."""

from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from iochain import Lab
from iochain.experiment.actions import LinkDown, Move, PowerOff, PowerOn
from iochain.testing import (
    CheckedNet,
    FrameBytes,
    Happening,
    Send,
    actions,
    changes,
    event_sequences,
    frames_at,
    labs,
    security_settings,
    sends,
    shaping_settings,
    teaming_settings,
)
from iochain.testing.configurations import said, typed, without_mistakes
from iochain.topology.mistakes import LabError
from iochain.topology.spec import Answer, BitsPerSecond, LabSpec, Options, Portgroup, Shaping, Vnic, key

quiet = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
searching = settings(quiet, max_examples=1000, derandomize=True, database=None, phases=[Phase.generate, Phase.shrink])
PLAINEST = {
    "esxi_version": "8.0",
    "hosts": {"esx1": {"vswitches": {"vSwitch0": {"uplinks": [], "portgroups": {"PG000": {}}}}}},
    "vms": {"vm0": {"network": "PG000"}},
}


def test_the_plainest_lab_says_nothing_that_it_need_not() -> None:
    assert find(labs(), lambda _: True, settings=searching).data == PLAINEST


def test_settings_shrink_to_nothing_said() -> None:
    for strategy in (security_settings(), teaming_settings(), shaping_settings()):
        assert find(strategy, lambda _: True, settings=searching) == {}


def test_what_is_wanted_of_a_lab_is_all_that_is_special_of_it() -> None:
    lab = find(labs(hosts=1), lambda lab: len(lab.wiring.ports) == 2, settings=searching)
    assert len(lab.wiring.ports) == 2
    rejecting = find(security_settings(), lambda data: data.get("mac_changes") == "reject", settings=searching)
    assert rejecting == {"mac_changes": "reject"}


@given(labs())
@quiet
def test_labs_are_valid_and_can_be_started_and_typed_back(lab: Lab) -> None:
    assert lab.wiring.ports is not None
    lab.start().stop()
    assert eval(repr(lab)).data == lab.data


@given(labs(hosts=(2, 3), vswitches=1, uplinks=0, portgroups=(2, 2), vms=(3, 3), vmkernels=(1, 1), advanced=False))
@settings(quiet, max_examples=20)
def test_sizes_are_kept_to(lab: Lab) -> None:
    hosts = lab.data["hosts"]
    assert 2 <= len(hosts) <= 3
    assert len(lab.data["vms"]) == 3
    for host in hosts.values():
        assert "settings" not in host
        assert len(host["vmkernel"]) == 1
        (switch,) = host["vswitches"].values()
        assert switch["uplinks"] == []
        assert len(switch["portgroups"]) == 2


def test_a_size_that_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="is no size"):
        find(labs(vms=(3, 1)), lambda _: True, settings=searching)


@given(labs(vlans=[7, 8], vms=1))
@settings(quiet, max_examples=20)
def test_vlans_that_were_said_are_kept_to(lab: Lab) -> None:
    assert {port.vlan for port in lab.wiring.ports} <= {None, 0, 7, 8}


# -- keys come by themselves


@attrs.frozen
class Later:
    """A level of the lab file with keys that nobody has thought of yet."""

    answer: Answer | None = key(None, "")
    rate: BitsPerSecond = key(BitsPerSecond(5), "", minimum=1, maximum=9)
    many: tuple[Answer, ...] = key((), "")
    below: Shaping = key(Shaping(), "")
    name: str = key("", "a name of something: nobody knows of what")


def test_a_key_whose_type_tells_what_it_may_hold_comes_by_itself() -> None:
    assert set(typed(Later)) == {"answer", "rate", "many", "below"}
    for name in typed(Later):
        find(said(Later), lambda data, name=name: bool(data.get(name)), settings=searching)  # type: ignore[misc]


@pytest.mark.parametrize("cls", [Portgroup, Vnic, Options])
def test_all_keys_of_a_level_come_up(cls: type) -> None:
    for name in typed(cls):
        find(said(cls), lambda data, name=name: name in data, settings=searching)  # type: ignore[misc]


def test_what_keys_demand_of_each_other_is_found_out() -> None:
    data: dict[str, Any] = {
        "hosts": {"esx1": {"vswitches": {"vSwitch0": {"mtu": 10_000, "portgroups": {"PG": {"vlan": 5}}}}}},
        "vms": {"vm0": {"network": "PG", "mac": "01:00:5e:00:00:01"}},
    }
    spec = without_mistakes(data)
    assert isinstance(spec, LabSpec)
    assert data["vms"]["vm0"] == {"network": "PG"}
    assert data["hosts"]["esx1"]["vswitches"]["vSwitch0"] == {"portgroups": {"PG": {"vlan": 5}}}


# -- what happens in them


@given(st.data())
@settings(quiet, max_examples=30)
def test_events_come_in_order_at_ports_that_there_are(data: st.DataObject) -> None:
    lab = data.draw(labs(hosts=1, vswitches=1, vms=3))
    events = data.draw(event_sequences(lab, events=(2, 5)))
    times = [event.time_ns for event in events]
    assert 2 <= len(events) <= 5
    assert times == sorted(times)
    assert {event.at for event in events if isinstance(event, Send)} <= {port.name for port in lab.wiring.ports}


def test_the_plainest_event_is_a_plain_frame_of_the_first_port() -> None:
    lab = Lab("8.0", **{name: value for name, value in PLAINEST.items() if name != "esxi_version"})
    sent = find(sends(lab), lambda _: True, settings=searching)
    assert isinstance(sent, Send)
    assert sent.at == "vm0"
    assert len(sent.frame) == 14
    assert sent.frame.seen().source == lab.wiring.port("vm0").effective_mac


def test_frames_at_a_port_mostly_have_its_own_address() -> None:
    lab = Lab()
    group = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod", vlan=30)
    web, db = group.vm("web").port, group.vm("db").port
    seen = find(frames_at(lab, "db"), lambda _: True, settings=searching).seen()
    assert [str(seen.source), str(seen.destination)] == [str(db.effective_mac), str(web.effective_mac)]
    assert find(frames_at(lab, "vmnic0"), lambda frame: frame.seen().vlan == 30, settings=searching)


@given(st.data())
@settings(quiet, max_examples=20)
def test_sequences_can_be_played(data: st.DataObject) -> None:
    lab = data.draw(labs(hosts=1, vswitches=1, vms=3))
    events = data.draw(event_sequences(lab, events=6))
    net = CheckedNet(lab.start())
    sent = net.play(events)
    assert [one.at for one in sent] == [event.at for event in events if isinstance(event, Send)]
    assert net.now_ns == max((event.time_ns for event in events), default=0)
    net.stop()


def test_the_plainest_happening_stands_alone() -> None:
    lab = Lab("8.0", **{name: value for name, value in PLAINEST.items() if name != "esxi_version"})
    happens = find(event_sequences(lab), lambda events: isinstance(events[0], Happening), settings=searching)
    assert happens == [Happening(PowerOff("vm0"))]


@given(st.data())
@settings(quiet, max_examples=20)
def test_frames_only_where_they_are_wanted(data: st.DataObject) -> None:
    lab = Lab("8.0", **{name: value for name, value in PLAINEST.items() if name != "esxi_version"})
    events = data.draw(event_sequences(lab, happenings=False))
    assert all(isinstance(event, Send) for event in events)


def test_what_can_happen_is_of_the_lab() -> None:
    lab = Lab()
    lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod").vm("web")
    for kind in (PowerOn, LinkDown, Move):
        assert isinstance(find(actions(lab), lambda one, kind=kind: isinstance(one, kind), settings=searching), kind)  # type: ignore[misc]


def test_changes_of_a_lab_that_says_nearly_nothing() -> None:
    lab = Lab(vms=None)
    lab.host("esx1").nic("vmnic0")
    assert find(changes(lab), lambda change: change.startswith("options."), settings=searching)
    lab.data["hosts"]["esx1"]["vswitches"] = {"vSwitch0": None}
    assert find(changes(lab), lambda change: change.startswith("vswitch.vSwitch0."), settings=searching)


def test_what_comes_while_another_frame_is_held_happens_behind_it() -> None:
    made = Lab()
    shaping = {"average": "8 kbit/s", "peak": "8 kbit/s", "burst": "100 B"}
    group = made.host("esx1").vswitch("vSwitch0").portgroup("Prod", shaping=shaping)
    group.vm("web", mac="00:50:56:00:00:01")
    group.vm("db", mac="00:50:56:00:00:02")
    net = CheckedNet(made.start())
    for moment in range(1, 10):
        net.at(f"{moment} s", lambda live: None)
    frame = FrameBytes.of("005056000002 005056000001 88b5", 1450)
    sent = net.play([Send(frame, "web", time_ns) for time_ns in (0, 0, 10**6)])
    assert [one.outcome.ports for one in sent] == [("db",)] * 3
    assert [one.time_ns for one in sent] == [0, 0, 10**9]
    assert net.now_ns > 10**9


@given(st.data())
@settings(quiet, max_examples=40)
def test_changes_can_be_written_as_settings(data: st.DataObject) -> None:
    lab = data.draw(labs(hosts=1, vms=2))
    change = data.draw(changes(lab))
    try:
        lab.with_settings([change])
    except LabError as mistakes:
        refused = str(mistakes)
    else:
        refused = ""
    assert "nothing that can be set" not in refused
    assert "is no key" not in refused
