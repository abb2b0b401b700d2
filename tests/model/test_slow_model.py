"""The slow model against tables with known answers: the forwarding table T-12 and IP hashes of T-1 of the reference."""

import pytest
from slow_model import Client, Ending, Group, Lab, Outcome, Policies, Switch, Way, client_of, outcome, parts

A, B, OUTSIDE, EVERYBODY = (bytes.fromhex(mac) for mac in ("005056000001", "005056000002", "0200000000fe", "f" * 12))
SWITCH = Switch("vSwitch0", ("u0", "u1"), (Group("Prod", 10),), (Client("A", "Prod", A, A), Client("B", "Prod", B, B)))
LAB = Lab("8.0", (SWITCH,), frozenset({"u0", "u1"}))
CLIENTS = [("A", A), ("B", B)]
WITHOUT_U0 = Lab("8.0", (SWITCH,), frozenset({"u1"}))


def frame(destination: bytes, source: bytes, tag: str = "") -> bytes:
    """A frame of 60 bytes, the tag not counted."""
    return destination + source + bytes.fromhex(tag) + b"\x88\xb5" + bytes(46)


@pytest.mark.parametrize(
    ("lab", "port", "sent", "copies", "drops"),
    [
        (LAB, "A", frame(B, A), {"B": ""}, []),
        (LAB, "A", frame(OUTSIDE, A), {"u0": "8100000a"}, []),
        (LAB, "B", frame(OUTSIDE, B), {"u1": "8100000a"}, []),
        (LAB, "A", frame(EVERYBODY, A), {"B": "", "u0": "8100000a"}, []),
        (LAB, "u0", frame(A, OUTSIDE, "8100000a"), {"A": ""}, []),
        (LAB, "u1", frame(A, OUTSIDE, "8100000a"), {"A": ""}, []),
        (LAB, "u0", frame(OUTSIDE, OUTSIDE, "8100000a"), {}, [Ending("u0", "in", "UNKNOWN_UNICAST")]),
        (LAB, "u0", frame(EVERYBODY, OUTSIDE, "8100000a"), {"A": ""}, [Ending("B", "out", "REVERSE_PATH")]),
        (LAB, "u1", frame(EVERYBODY, OUTSIDE, "8100000a"), {"B": ""}, [Ending("A", "out", "REVERSE_PATH")]),
        (LAB, "u1", frame(EVERYBODY, A, "8100000a"), {}, [Ending(name, "out", "REFLECTION") for name in "AB"]),
        (LAB, "u0", frame(A, OUTSIDE, "81000014"), {}, [Ending("u0", "in", "VLAN_MISMATCH")]),
        (LAB, "u0", frame(A, OUTSIDE, "81000fff"), {}, [Ending("u0", "in", "INVALID_TAG")]),
        (LAB, "A", frame(B, A, "8100000a"), {}, [Ending("A", "in", "VLAN_MISMATCH")]),
        (LAB, "A", frame(OUTSIDE, A, "8100a000"), {"u0": "8100a00a"}, []),
        (WITHOUT_U0, "A", frame(OUTSIDE, A), {"u1": "8100000a"}, []),
        (WITHOUT_U0, "u0", frame(A, OUTSIDE, "8100000a"), {}, [Ending("u0", "in", "LINK_DOWN")]),
    ],
)
def test_forwarding(lab: Lab, port: str, sent: bytes, copies: dict[str, str], drops: list[Ending]) -> None:
    found = outcome(lab, port, sent)
    assert found.delivered == {(name, frame(sent[:6], sent[6:12], tag)) for name, tag in copies.items()}
    assert found.dropped == set(drops)


@pytest.mark.parametrize(
    ("source", "destination", "uplinks", "full", "last"),
    [
        ("0a000001", "0a000002", 3, 0, 0),
        ("0a000001", "0a000003", 4, 2, 2),
        ("a4120154", "a41201a0", 2, 0, 0),
        ("a4120154", "a41201c3", 2, 1, 1),
        ("c0a8010a", "08080808", 3, 2, 2),
        ("0a000001", "0a000102", 3, 1, 0),
        ("0a000001", "0a000202", 3, 2, 0),
    ],
)
def test_ip_hash(source: str, destination: str, uplinks: int, full: int, last: int) -> None:
    packet = bytes.fromhex("45000014000000004011 0000" + source + destination)
    for form, expected in (("full", full), ("last_octet", last)):
        lab = Lab("8.0", (SWITCH,), frozenset(), options={"ip_hash": form})
        way = Way(lab, SWITCH, "A", Outcome())
        assert way.ip_hash(parts(OUTSIDE + A + b"\x08\x00" + packet)) % uplinks == expected


def test_more_than_32_groups_are_hashed() -> None:
    """Below, only what was asked for; above, others too that share a bit of the 64."""
    wanted = [bytes.fromhex(f"01005e0200{last:02x}") for last in range(33)]
    others = [bytes.fromhex(f"01005e0300{last:02x}") for last in range(256)]
    for number, reached in ((32, range(1)), (33, range(1, 256))):
        member = Client("B", "Prod", B, B, wanted=tuple(wanted[:number]))
        lab = Lab("8.0", (Switch("vSwitch0", (), SWITCH.groups, (client_of(SWITCH, "A"), member)),), frozenset())
        got = [outcome(lab, "A", frame(group, A)).delivered for group in others]
        assert sum(map(bool, got)) in reached
        assert all(outcome(lab, "A", frame(group, A)).delivered for group in wanted[:number])


def test_a_standby_takes_the_slot_of_a_failed_uplink() -> None:
    """Table T-7: active a, b and standby c; a is down."""
    policies = Policies(active=("a", "b"), standby=("c",))
    switch = Switch("vSwitch0", ("a", "b", "c"), (Group("Prod", 10, policies),), SWITCH.clients)
    for live, used in (("abc", "ab"), ("bc", "cb"), ("c", "c"), ("ab", "ab"), ("b", "b"), ("", "")):
        found = [outcome(Lab("8.0", (switch,), frozenset(live)), name, frame(OUTSIDE, mac)) for name, mac in CLIENTS]
        uplinks = {name for one in found for name, _ in one.delivered}
        assert uplinks == set(used)
