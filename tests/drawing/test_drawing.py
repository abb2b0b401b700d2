"""The drawing of a lab: well-formed, complete, the same each time, and no text over another or over an edge."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iochain import Lab
from iochain.chain import Verdict
from iochain.frame import Frame
from iochain.topology.drawing import TEAMING, draw, picture
from iochain.topology.outline import MOST_ALIKE
from iochain.topology.picture import Label, Picture, fitted, text_width

PCAPS = Path(__file__).parents[2] / "pcaps"
SVG = "{http://www.w3.org/2000/svg}"
LONG = "customer-production-database-server-with-replica-and-backup"


def small() -> Lab:
    lab = Lab()
    prod = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"]).portgroup("Prod", vlan=10)
    for name in ("web", "db"):
        prod.vm(name)
    return lab


def large() -> Lab:
    lab = Lab()
    for number in range(1, 4):
        host = lab.host(f"esx{number}")
        for at in range(2):
            names = [f"vmnic{2 * at}", f"vmnic{2 * at + 1}"]
            teaming = {"active": names[:1], "standby": names[1:]}
            switch = host.vswitch(f"vSwitch{at}", uplinks=names, teaming=teaming)
            turned = {"active": names[1:], "standby": names[:1]}
            groups = [
                switch.portgroup(f"Prod{at}", vlan=10 + at),
                switch.portgroup(f"Back{at}", vlan=20, teaming=turned),
            ]
            for count in range(40):
                groups[count % 4 == 0].vm(f"vm-{number}-{at}-{count}")
    return lab


def odd() -> Lab:
    """Long names, no uplinks, no port groups, ports unlike their neighbours."""
    lab = Lab()
    host = lab.host("a-very-long-host-name." * 10)
    switch = host.nic("vmnic0", link="down").vswitch("vSwitch-with-a-very-long-name", uplinks=["vmnic0"], mtu=9000)
    trunk = switch.portgroup("A port group whose name does not end & <b>", vlan=4095, promiscuous="accept")
    for count in range(3):
        trunk.vm(f"{LONG}-{count}", promiscuous=count > 0)
    trunk.vm("日本語のとても長い仮想マシンの名前はここにありますよ")
    trunk.vm("off", connected=False)
    inner = host.vswitch("vSwitch1")
    inner.portgroup("Internal").vm("lonely")
    inner.portgroup("Empty", vlan=7)
    host.vmkernel("vmk0", network="Internal")
    host.vswitch("vSwitch2")
    lab.port("off").input.insert(passing, before="mtu", name=LONG + LONG)
    return lab


def passing(frame: Frame, port: object) -> Verdict:
    return frame


def recorded() -> Lab:
    return Lab.load(PCAPS / "trunk.lab.yaml")


def racks() -> Lab:
    """Hosts with physical switches, cables between all of these, and many ports without any."""
    lab = Lab()
    for number in (1, 2):
        lab.physical_switch(f"sw{number}", count=24, defaults={"bpdu_guard": True})
    for number in range(1, 4):
        switch = lab.host(f"esx{number}").vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"])
        switch.portgroup("Prod", vlan=10).vm(f"vm{number}")
        for at in (1, 2):
            lab.cable(f"esx{number}.vmnic{at - 1}", f"sw{at}.{number}")
    lab.host("esx3").vswitch("vSwitch1", uplinks=["vmnic2", "vmnic3"])
    lab.cable("esx3.vmnic2", "esx3.vmnic3")
    for port in (23, 24):
        lab.cable(f"sw1.{port}", f"sw2.{port}")
        for number in (1, 2):
            lab.physical_switch(f"sw{number}").port(port, bpdu_guard=False, channel="po1" if port > 30 else None)
    lab.physical_switch("sw2").port(5, link="up", vlan=10)
    lab.physical_switch("switch with a very long name & no ports " * 3)
    return lab


LABS = [small, large, odd, recorded, racks]


def shown(drawing: Picture) -> set[str]:
    return {label.whole or label.text for label in drawing.labels}


def assert_no_overlap(drawing: Picture) -> None:
    labels = sorted(drawing.labels, key=lambda label: label.box[0])
    for at, label in enumerate(labels):
        for other in labels[at + 1 :]:
            if other.box[0] >= label.box[2]:
                break
            apart = other.box[1] >= label.box[3] or other.box[3] <= label.box[1]
            assert apart, f"{label} and {other} overlap"


def assert_inside(label: Label, drawing: Picture) -> None:
    """Where a text touches a box it lies in it whole."""
    left, top, right, bottom = label.box
    assert min(left, top, drawing.width - right, drawing.height - bottom) >= 0, label
    for box in drawing.boxes:
        meets = left < box.x + box.width and right > box.x and top < box.y + box.height and bottom > box.y
        if meets:
            assert box.x <= left < right <= box.x + box.width, (label, box)
            assert box.y <= top + 1 < bottom <= box.y + box.height + 1, (label, box)


@pytest.mark.parametrize("make", LABS)
def test_texts_do_not_overlap_and_stay_in_their_boxes(make: Callable[[], Lab]) -> None:
    drawing = picture(make().wiring)
    assert_no_overlap(drawing)
    for label in drawing.labels:
        assert_inside(label, drawing)


@pytest.mark.parametrize("make", LABS)
def test_boxes_are_apart_or_inside_each_other(make: Callable[[], Lab]) -> None:
    drawing = picture(make().wiring)
    for at, box in enumerate(drawing.boxes):
        for other in drawing.boxes[at + 1 :]:
            across = min(box.x + box.width, other.x + other.width) - max(box.x, other.x)
            down = min(box.y + box.height, other.y + other.height) - max(box.y, other.y)
            if across > 0 and down > 0:
                assert across == pytest.approx(min(box.width, other.width)), (box, other)
                assert down == pytest.approx(min(box.height, other.height)), (box, other)


@pytest.mark.parametrize("make", LABS)
def test_it_is_svg_with_a_title_and_always_the_same(make: Callable[[], Lab]) -> None:
    text = draw(make().wiring)
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert (root.findtext(f"{SVG}title") or "").startswith("A lab of ")
    assert "vSwitch" in (root.findtext(f"{SVG}desc") or "")
    assert draw(make().wiring) == text


@pytest.mark.parametrize("make", LABS)
def test_every_port_is_there_or_counted(make: Callable[[], Lab]) -> None:
    wiring = make().wiring
    drawing = picture(wiring)
    missing = [port.name for port in wiring.ports if port.name.removeprefix(f"{port.host}.") not in shown(drawing)]
    counted = [int(text.split()[2]) for text in shown_more(drawing)]
    assert len(missing) == sum(counted)


def shown_more(drawing: Picture) -> list[str]:
    return [label.text for label in drawing.labels if label.text.startswith("… and")]


def test_cables_and_states_of_switch_ports_are_drawn() -> None:
    drawing = picture(racks().wiring)
    assert {"sw1.1", "trunk · 10 Gbit/s", "VLAN 10 · 10 Gbit/s", "trunk · 10 Gbit/s · blocked"} <= shown(drawing)
    assert drawing.title == "A lab of 3 hosts, 4 switches, 3 ports, 8 uplinks, 3 physical switches, 9 cables"
    assert "sw1.24 to sw2.24" in drawing.description
    cables = [line for line in drawing.lines if line.colour in ("#1c2430", "#a8231b") and line.x > 600]
    assert sum(line.colour == "#a8231b" for line in cables) == 1  # one is blocked
    assert sum(line.bulge > 0 for line in cables) == 3


def test_many_like_ports_are_counted() -> None:
    lab = Lab()
    lab.host("esx1").vswitch("vSwitch0").portgroup("Prod").vm("web", count=100)
    drawing = picture(lab.wiring)
    assert shown_more(drawing) == [f"… and {100 - MOST_ALIKE} more"]
    assert {f"web-{number}" for number in range(1, 101)} & shown(drawing) == {f"web-{n}" for n in range(1, 13)}


def test_a_port_with_a_stage_of_its_own_stands_apart() -> None:
    lab = small()
    lab.port("db").output.insert(passing, name="mirror")
    texts = [label.text for label in picture(lab.wiring).labels]
    assert texts.count("input") == 4  # web, db, and two uplinks
    assert texts.count("mirror") == 1


def test_uplinks_say_their_link_and_how_teams_use_them() -> None:
    texts = shown(picture(odd().wiring))
    assert {"no link · 10 Gbit/s", "no uplink", "no port", "no port group", "active: none"} <= texts
    drawing = picture(large().wiring)
    assert {"active: vmnic0", "standby: vmnic1", "up · 10 Gbit/s"} <= shown(drawing)
    assert sum(line.dashed for line in drawing.lines) == 12  # one standby uplink for each of 3 × 2 × 2 port groups


def test_what_teams_do_is_not_cut_short() -> None:
    for kind, words in TEAMING.items():
        lab = Lab()
        lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"], teaming={"load_balancing": kind.value}).portgroup(
            "Prod"
        )
        assert f"teaming {words}" in {label.text for label in picture(lab.wiring).labels}


def test_a_change_of_the_link_is_drawn() -> None:
    wiring = small().wiring
    wiring.tables["esx1"].up.set(wiring.port("vmnic1").number, False)
    assert {"up · 10 Gbit/s", "no link · 10 Gbit/s"} <= shown(picture(wiring))


@given(st.text(max_size=60), st.floats(20, 400), st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_fitted_text_fits(text: str, width: float, bold: bool) -> None:
    short = fitted(text, width, 12, bold)
    assert text_width(short, 12, bold) <= width
    assert short == text or "…" in short
    ElementTree.fromstring(Label(short, 0, 0, whole=text).svg())


def test_longer_texts_are_wider() -> None:
    widths = [text_width(LONG[:length], 10) for length in range(len(LONG))]
    assert all(left < right for left, right in pairwise(widths))
