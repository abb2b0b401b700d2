"""Chains: stages put in, taken out, replaced, moved; names; what is refused and how; what shows itself."""

from typing import Any

import pytest

from iochain.chain import (
    BatchStage,
    Chain,
    Drop,
    Element,
    From,
    Group,
    OnPackets,
    Port,
    PortKind,
    Ports,
    Reason,
    Verdict,
    as_element,
    name_of,
    plain,
)
from iochain.frame import Frame, Mac
from iochain.portgroup.security import Disconnected, ForgedTransmits, GuestBpdu
from iochain.portgroup.vlan import AccessVlan, GuestVlan, NoVlan, VlanMember
from iochain.uplink.nic import Mtu, ReceivedTag, SentTag
from iochain.uplink.wire import Wire
from iochain.vswitch.shaping import Shaper


def first(frame: Frame, port: Port) -> Verdict:
    return frame


def on_packet(packet: Any) -> Any:
    return packet


class LoudStage:
    def __call__(self, frame: Frame, port: Port) -> Verdict:
        return frame


class Holder:
    def start(self) -> Any:
        return []

    def run(self, state: Any, batch: Any, until: Any) -> Any: ...


def chain() -> Chain:
    return Chain("output of web", [Element("vlan", VlanMember(10)), Element("filter", first), Element("last", first)])


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ({}, ["vlan", "filter", "last", "first"]),
        ({"before": "vlan"}, ["first", "vlan", "filter", "last"]),
        ({"before": "last"}, ["vlan", "filter", "first", "last"]),
        ({"after": "vlan"}, ["vlan", "first", "filter", "last"]),
        ({"after": "last"}, ["vlan", "filter", "last", "first"]),
        ({"after": "vlan", "name": "mine"}, ["vlan", "mine", "filter", "last"]),
    ],
)
def test_insert(where: dict[str, str], names: list[str]) -> None:
    changed = chain()
    changed.insert(first, **where)
    assert changed.names == names
    assert str(changed) == f"output of web: {' → '.join(names)}"
    assert len(changed) == 4
    assert [element.name for element in changed] == names


@pytest.mark.parametrize(
    ("name", "where", "names"),
    [
        ("vlan", {}, ["filter", "last", "vlan"]),
        ("last", {"before": "vlan"}, ["last", "vlan", "filter"]),
        ("vlan", {"before": "last"}, ["filter", "vlan", "last"]),
        ("vlan", {"after": "filter"}, ["filter", "vlan", "last"]),
        ("vlan", {"after": "last"}, ["filter", "last", "vlan"]),
        ("filter", {"before": "last"}, ["vlan", "filter", "last"]),
        ("filter", {"before": "filter"}, ["vlan", "filter", "last"]),
        ("filter", {"after": "filter"}, ["vlan", "filter", "last"]),
    ],
)
def test_move(name: str, where: dict[str, str], names: list[str]) -> None:
    changed = chain()
    changed.move(name, **where)
    assert changed.names == names


def test_remove_and_replace() -> None:
    changed = chain()
    changed.remove("filter")
    changed.replace("vlan", VlanMember(20))
    assert changed.names == ["vlan", "last"]
    assert changed["vlan"].stage == VlanMember(20)
    changed.remove("vlan")
    changed.remove("last")
    assert str(changed) == "output of web: (empty)"


MISSING = "output of web has no stage 'vlans'; it has vlan, filter, last"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.insert(first, before="vlans"), MISSING),
        (lambda c: c.insert(first, after="vlans"), MISSING),
        (lambda c: c.remove("vlans"), MISSING),
        (lambda c: c.replace("vlans", first), MISSING),
        (lambda c: c.move("vlans"), MISSING),
        (lambda c: c.move("vlan", before="vlans"), MISSING),
        (lambda c: c["vlans"], MISSING),
        (
            lambda c: c.insert(first, name="vlan"),
            "output of web has a stage 'vlan' already; give another name",
        ),
        (lambda c: Chain("empty").remove("vlan"), "empty has no stage 'vlan'; it has none"),
    ],
)
def test_what_is_refused_changes_nothing(change: Any, message: str) -> None:
    changed = chain()
    with pytest.raises(ValueError) as refused:
        change(changed)
    assert str(refused.value) == message
    assert changed.names == ["vlan", "filter", "last"]


@pytest.mark.parametrize("stage", [None, 5, "vlan", object()])
def test_what_is_no_stage_is_refused(stage: Any) -> None:
    with pytest.raises(TypeError, match=r"is no stage: it takes no \(frame, port\), and has no start\(\) and run\(\)"):
        chain().insert(stage, name="mine")


@pytest.mark.parametrize("stage", [AccessVlan, Holder, LoudStage])
def test_a_class_is_no_stage_but_what_is_made_of_it(stage: type) -> None:
    with pytest.raises(
        TypeError, match=rf"{stage.__name__} is a class and no stage; make one of it: {stage.__name__}\(…\)"
    ):
        chain().insert(stage, name="mine")


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        (first, "first"),
        (LoudStage(), "loud stage"),
        (AccessVlan(10), "access vlan"),
        (GuestBpdu(), "guest bpdu"),
        (on_packet, "on_packet"),
        (OnPackets(on_packet), "on_packet"),
        (Holder(), "holder"),
    ],
)
def test_names_of_stages(stage: Any, name: str) -> None:
    assert name_of(stage) == name
    assert as_element(stage).name == name
    assert as_element(stage, "mine").name == "mine"


@pytest.mark.parametrize(
    ("stage", "is_batch", "on_packets"),
    [
        (first, False, False),
        (LoudStage(), False, False),
        (on_packet, True, True),
        (lambda packet: None, True, True),
        (lambda packet, limit=5: None, True, True),
        (lambda frame, port: frame, False, False),
        (lambda *both: both[0], False, False),
        (Holder(), True, False),
        (Wire(10**9), True, False),
    ],
)
def test_kinds_of_stages(stage: Any, is_batch: bool, on_packets: bool) -> None:
    element = as_element(stage, "mine")
    assert element.is_batch is isinstance(element.stage, BatchStage) is is_batch
    assert isinstance(element.stage, OnPackets) is on_packets


@pytest.mark.parametrize(
    "thing",
    [
        AccessVlan(10),
        NoVlan(),
        GuestVlan(),
        VlanMember(0),
        ForgedTransmits(initial=True),
        GuestBpdu(),
        Disconnected(),
        ReceivedTag(),
        SentTag(),
        Mtu(1500),
        Shaper(1, 2, 3, 4),
        Wire(10**9),
        Mac("00:50:56:00:00:01"),
        Drop(Reason.SHAPER, "rule 3"),
        Group("client", 10),
        Ports(("web", "db"), Group("client", 0), "web", 10),
        From("reject", "port group Prod", "promiscuous", "lab.yaml:3"),
        Port("web", 1, 0x01000003, PortKind.VNIC, "esx1", "vSwitch0", vlan=10, effective_mac=Mac(1)),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_a_repr_types_back(thing: object) -> None:
    assert eval(repr(thing)) == thing
    assert "0x" not in repr(thing)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_words_and_a_name_of_esxi(reason: Reason) -> None:
    assert len(reason.value.split()) > 2
    assert reason.esxi


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        (Reason.FORGED_TRANSMITS, "MAC forgery"),
        (Reason.VLAN_MISMATCH, "VLAN mismatch"),
        (Reason.SHAPER, "shaper"),
        (Reason.DISCONNECTED, "port blocked"),
        (Reason.RECEIVE_FILTER, "generic"),
    ],
)
def test_names_of_esxi(reason: Reason, name: str) -> None:
    assert reason.esxi == name


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        (
            From(10, "port group Prod", "hosts.esx1.vswitches.vSwitch0.portgroups.Prod.vlan"),
            "vlan 10 from port group Prod",
        ),
        (From(True, "esx1", "failback", "lab.yaml:7"), "failback yes from esx1 (lab.yaml:7)"),
        (From(1, "default of ESXi 8.0", "Net.BlockGuestBPDU"), "Net.BlockGuestBPDU 1 from default of ESXi 8.0"),
        (From(0, "esx1", 'hosts.esx1.settings."Net.BlockGuestBPDU"'), "Net.BlockGuestBPDU 0 from esx1"),
        (From(("a", "b"), "Prod", "teaming.active"), "active [a, b] from Prod"),
        (From(5, "nobody"), "5 from nobody"),
    ],
)
def test_a_setting_says_who_set_it(setting: From, text: str) -> None:
    assert str(setting) == text


@pytest.mark.parametrize(
    ("value", "text"), [(True, "yes"), (False, "no"), (Reason.SHAPER, Reason.SHAPER.value), (["a", True], "[a, yes]")]
)
def test_values_are_written_as_the_lab_file_writes_them(value: object, text: str) -> None:
    assert plain(value) == text


def test_groups_in_words() -> None:
    assert str(Group("client", 10)) == "client ports of VLAN 10"
    assert str(Group("promiscuous", 0)) == "promiscuous ports without VLAN"
