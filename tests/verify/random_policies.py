"""Random labs, and random statements about them."""

from random import Random

from hypothesis import HealthCheck, Phase, given, settings

from iochain.chain import PortKind
from iochain.lab import Lab
from iochain.testing import labs
from iochain.verify.conditions import FIELDS, Condition
from iochain.verify.policyfile import Policy
from iochain.verify.statements import Isolated, Never, NoSpoofing, Only, Ports, Reaches, Rule, Statement


def random_labs(count: int) -> list[Lab]:
    """So many labs with two ports or more; the same in each run."""
    found: list[Lab] = []
    drawn = labs(hosts=2, vswitches=2, uplinks=2, portgroups=(1, 3), vms=(2, 4), vmkernels=1)

    @settings(
        max_examples=6 * count,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(drawn)
    def keep(lab: Lab) -> None:
        if len(found) < count and len(lab.wiring.ports) > 2:
            found.append(lab)

    keep()
    return found


def random_policy(lab: Lab, seed: int, count: int = 5) -> Policy:
    """A policy of random statements, which may contradict each other."""
    random = Random(seed)
    rules = [_rule(random, lab) for _ in range(count)]
    return Policy("random", tuple(Statement(f"s{n}", "by chance", rule) for n, rule in enumerate(rules)))


def _rule(random: Random, lab: Lab) -> Rule:
    ports = lab.wiring.ports
    guests = [port.number for port in ports if port.kind is not PortKind.UPLINK]
    uplinks = [port.number for port in ports if port.uplink]
    kind = random.choice(["isolated", "reaches", "reaches", "never", "no_spoofing", "only"])
    everyone = frozenset(port.number for port in ports)
    if kind == "isolated":
        a, b = _some(random, lab), _some(random, lab)
        if a - b and b - a:
            return Isolated(a - b, b - a)
        kind = "reaches"
    if kind == "reaches":
        like = random.choice(guests)
        near = [n for n in guests if n != like and _vlan(lab, n) == _vlan(lab, like)] if random.random() < 0.7 else []
        to = frozenset([random.choice(near or [n for n in everyone if n != like])])
        return Reaches(frozenset([like]), to, random.choice([Condition(), _frames("ethertype", "ipv4")]))
    if kind == "no_spoofing":
        return NoSpoofing(_some(random, lab) & frozenset(guests) or frozenset(guests[:1]))
    if kind == "only":
        own = frozenset([0, random.choice([_vlan(lab, n) for n in guests])])
        vlans = random.choice([own, frozenset(range(4095))])
        return Only(vlans, frozenset([random.choice(uplinks or guests)]))
    at = frozenset([random.choice(guests + uplinks)])
    conditions = [
        _frames("destination", "broadcast"),
        _frames("vlan", str(random.choice([5, 10, 20, *(_vlan(lab, n) for n in guests)]))),
        Condition(tagged=True),
        _frames("destination", str(ports[random.choice(guests)].effective_mac)),
        _frames("ethertype", "ipv4"),
    ]
    source = random.choice([everyone, _some(random, lab)])
    sent = random.choice([Condition(), Condition(tagged=True), Condition(tagged=False)])
    return Never(at, source, random.choice(conditions), sent)


def _frames(name: str, value: str) -> Condition:
    return Condition({name: FIELDS[name].read(value)})


def _vlan(lab: Lab, number: int) -> int:
    return lab.wiring.ports[number].vlan or 0


def _some(random: Random, lab: Lab) -> Ports:
    """A port, or the ports of a port group, or of a VLAN."""
    ports = lab.wiring.ports
    like = random.choice(ports)
    match random.choice(["port", "portgroup", "vlan"]):
        case "portgroup" if like.portgroup:
            return frozenset(one.number for one in ports if (one.host, one.portgroup) == (like.host, like.portgroup))
        case "vlan" if like.vlan is not None:
            return frozenset(one.number for one in ports if one.vlan == like.vlan)
    return frozenset([like.number])
