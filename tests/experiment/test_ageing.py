"""Learned MACs age: exactly the ageing time after the last frame from them, refreshed by every frame, in each VLAN."""

import pytest
from fabric_runs import ADDRESSES, BROADCAST, NAMES, frame, lab

from iochain import Net
from iochain.engine.network import Engine
from iochain.frame import Mac

SECOND = 10**9
engines = pytest.mark.parametrize("engine", [Engine.PLAIN, Engine.PATHS])


def sent(source: str, destination: str) -> bytes:
    return frame(ADDRESSES[NAMES.index(destination)], ADDRESSES[NAMES.index(source)], bytes(46))


def learned(net: Net, vm: str) -> set[str]:
    """The switches that know a VM."""
    mac = Mac(int.from_bytes(ADDRESSES[NAMES.index(vm)], "big"))
    return {
        name
        for name, switch in net.wiring.fabric.switches.items()
        if any(key[1] == mac for key in switch.learned.entries())
    }


def last_ns(net: Net, switch: str, vm: str) -> int:
    mac = int.from_bytes(ADDRESSES[NAMES.index(vm)], "big")
    found = net.network.ages.last_ns(switch, 10, mac)
    assert found is not None
    return found


@engines
def test_expiry_is_exact(engine: Engine) -> None:
    net = lab(ageing="2 s").start(engine)
    net.send(frame(BROADCAST, ADDRESSES[0], bytes(46)), "a0")
    assert learned(net, "a0") == {"sw1", "sw2"}
    due_ns = {switch: last_ns(net, switch, "a0") + 2 * SECOND for switch in ("sw1", "sw2")}
    first, second = sorted(due_ns, key=lambda switch: due_ns[switch])
    assert due_ns[first] < due_ns[second]  # it took its way through the one to the other
    net.run(due_ns[first])
    assert learned(net, "a0") == {"sw1", "sw2"}
    net.run(due_ns[first] + 1)
    assert learned(net, "a0") == {second}
    net.run(due_ns[second] + 1)
    assert learned(net, "a0") == set()


@engines
def test_every_frame_refreshes(engine: Engine) -> None:
    net = lab(ageing="2 s").start(engine)
    net.send(frame(BROADCAST, ADDRESSES[4], bytes(46)), "c0")
    net.send(frame(BROADCAST, ADDRESSES[0], bytes(46)), "a0")
    for tenth in range(1, 60):
        net.offer(sent("a0", "c0"), "a0", tenth * SECOND // 10)
        if tenth % 9 == 0:
            net.offer(sent("c0", "a0"), "c0", tenth * SECOND // 10)
    net.run("7 s")
    assert learned(net, "a0") == learned(net, "c0") != set()
    net.run("20 s")
    assert learned(net, "a0") == set()


@engines
def test_what_a_port_refuses_does_not_refresh(engine: Engine) -> None:
    made = lab(ageing="2 s")
    made.data["fabric"]["switches"]["sw1"]["ports"]["2"]["allowed_vlans"] = ["20"]
    net = made.start(engine)
    net.send(frame(BROADCAST, ADDRESSES[0], bytes(46)), "a0")
    assert "sw1" not in learned(net, "a0")
    assert net.network.ages.last_ns("sw1", 10, int.from_bytes(ADDRESSES[0], "big")) is None


def test_many_macs_are_kept() -> None:
    made = lab()
    made.physical_switch("sw1").port("1", link="up")
    net = made.start()
    for number in range(400):
        data = frame(ADDRESSES[0], bytes([0, 0x50, 0x57, 0, *divmod(number, 256)]), bytes(46))
        net.offer(data, "sw1.1", 1000 * number)
    net.run("1 s")
    assert net.network.ages.count == 2 * 400  # of each switch
    assert net.network.ages.last_ns("sw1", 1, 0x005057000000 + 300) == 300_000
