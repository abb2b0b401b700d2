"""Pairs of senders and receivers are found out by look-ups; what one sender was told never holds where it must not."""

import random
from collections.abc import Iterable
from typing import Any

import pytest

from iochain import Lab
from iochain.batch import Batch, batch_of
from iochain.engine.network import Engine, Network
from iochain.engine.remembered import Remembered
from iochain.frame import Mac
from iochain.topology.spec import LoadBalancing

VMS = 12
OUTSIDE = 0x020000000000

Pair = tuple[int, int]
"""Number of the sending VM, and the destination MAC."""


def mac(vm: int) -> int:
    return 0x005056000001 + vm


def lab(teaming: LoadBalancing = LoadBalancing.PORT_ID, uplinks: int = 2, groups: int = 2) -> Lab:
    """VMs in turn in port groups of one VLAN, each with a team of its own."""
    made = Lab()
    host = made.host("esx1")
    names = [f"vmnic{number}" for number in range(uplinks)]
    for name in names:
        host.nic(name)
    switch = host.vswitch("vSwitch0", uplinks=names, teaming={"load_balancing": teaming.value})
    portgroups = [switch.portgroup(f"Prod{number}", vlan=10) for number in range(groups)]
    for vm in range(VMS):
        portgroups[vm % groups].vm(f"vm{vm}", mac=str(Mac(mac(vm))))
    return made


def sent(network: Network, pairs: Iterable[Pair], first_ns: int = 0) -> Batch:
    """One frame of each pair, each at its VM's port."""
    chosen = list(pairs)
    data = [to.to_bytes(6, "big") + mac(vm).to_bytes(6, "big") + b"\x88\xb5" + bytes(46) for vm, to in chosen]
    batch = batch_of([(one, first_ns + 1000 * number) for number, one in enumerate(data)])
    batch.rows["port"] = [network.wiring.port(f"vm{vm}").number for vm, _ in chosen]
    return batch


def fates(made: Lab, engine: Engine, *windows: list[Pair]) -> tuple[list[Any], Network]:
    """Where frames were delivered, and why and where others were dropped."""
    network = Network.of(made.wiring, engine=engine)
    found: list[Any] = []
    for number, pairs in enumerate(windows):
        done = network.run(sent(network, pairs, number * 10**9))
        found.append(done.delivered.rows[["order", "port", "tag"]].tolist())
        found.append([(order, str(done.whys[why]), done.whys[why].port) for order, why in _dropped(done)])
    return found, network


def _dropped(done: Any) -> Iterable[tuple[int, int]]:
    return zip(done.dropped.column("order").tolist(), done.why.tolist(), strict=True)


def all_pairs() -> list[Pair]:
    """Each VM to each, itself too, and to twelve machines outside."""
    targets = [*map(mac, range(VMS)), *(OUTSIDE + number for number in range(VMS))]
    return [(vm, to) for vm in range(VMS) for to in targets]


@pytest.mark.parametrize("teaming", list(LoadBalancing))
@pytest.mark.parametrize("uplinks", [0, 2])
@pytest.mark.parametrize("seed", [1, 2])
def test_each_pair_fares_as_if_it_walked(teaming: LoadBalancing, uplinks: int, seed: int) -> None:
    made, pairs = lab(teaming, uplinks), all_pairs()
    random.Random(seed).shuffle(pairs)
    windows = (pairs[:50], pairs[50:], pairs)
    plain, _ = fates(made, Engine.PLAIN, *windows)
    paths, network = fates(made, Engine.PATHS, *windows)
    assert paths == plain
    assert isinstance(network.decider, Remembered)


@pytest.mark.parametrize("teaming", [LoadBalancing.PORT_ID, LoadBalancing.SOURCE_MAC, LoadBalancing.IP_HASH])
def test_walks_are_as_many_as_senders_and_receivers(teaming: LoadBalancing) -> None:
    pairs = [(vm, to) for vm, to in all_pairs() if to != mac(vm)]
    _, network = fates(lab(teaming), Engine.PATHS, pairs)
    assert isinstance(network.decider, Remembered)
    kinds, receivers = 2, 2 * VMS
    # senders; receivers for each kind; the team of each sender; ways out; masks that grow
    assert network.decider.statistics.walks <= VMS + kinds * receivers + VMS + (VMS + 2) + 8
    assert network.ways[1].ways == len(pairs)


@pytest.mark.parametrize("own_first", [True, False])
def test_a_frame_to_the_senders_own_port_is_dropped_there(own_first: bool) -> None:
    """Whether the path of other senders' frames to that port is known already or not."""
    own, others = [(3, mac(3))], [(vm, mac(3)) for vm in range(VMS) if vm != 3]
    windows = (own, others) if own_first else (others, own)
    found, network = fates(lab(groups=1), Engine.PATHS, *windows, own)
    drops = [one for some in found[1::2] for one in some]
    number = network.wiring.port("vm3").number
    assert [(text, port) for _, text, port in drops] == 2 * [
        ("forwarding: no port but the sender's own is there to take the frame (to the sender's own port)", number)
    ]
    assert sum(map(len, found[::2])) == len(others)


def test_drops_at_the_switch_name_the_port_of_each_sender() -> None:
    made = lab(uplinks=0)
    found, network = fates(made, Engine.PATHS, [(vm, OUTSIDE) for vm in range(VMS)])
    assert [port for *_, port in found[1]] == [network.wiring.port(f"vm{vm}").number for vm in range(VMS)]
