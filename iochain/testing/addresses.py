"""Strategies for addresses and tags. They allow everything unless told otherwise, and shrink to the plainest."""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias, TypeVar

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from iochain.frame import ALL_VLANS, BROADCAST, DEI_BIT, MAX_VLAN, PRIORITY_SHIFT, Mac

Some = TypeVar("Some")
Given: TypeAlias = st.SearchStrategy[Some] | Sequence[Some] | Some
"""A strategy, a list of values to choose from, or one value."""

SENDER: Final = Mac("00:50:56:00:00:01")
RECEIVER: Final = Mac("00:50:56:00:00:02")
"""The plainest addresses: of VMware's range for addresses that are given by hand."""

_UNICAST: Final = (
    SENDER,
    RECEIVER,
    Mac("00:50:56:00:00:03"),
    Mac("00:50:56:60:00:01"),  # a vmkernel adapter
    Mac("02:00:00:00:00:01"),  # locally given
    Mac("02:42:00:00:00:01"),  # a container
    Mac("00:00:5e:00:01:01"),  # VRRP
    Mac(0),
)
_GROUPS: Final = (
    BROADCAST,
    Mac("01:00:5e:00:00:01"),
    Mac("01:00:5e:01:01:01"),
    Mac("33:33:00:00:00:01"),
    Mac("01:80:c2:00:00:00"),  # spanning tree
    Mac("01:80:c2:00:00:02"),  # LACP
    Mac("01:80:c2:00:00:0e"),  # LLDP
    Mac("01:00:0c:cc:cc:cc"),  # CDP
    Mac("01:00:0c:cc:cc:cd"),  # PVST+
)
_GROUP_BIT: Final = 1 << 40


def macs(*, group: bool | None = None) -> st.SearchStrategy[Mac]:
    """MAC addresses; only group addresses (multicast, broadcast), or only those of one adapter."""
    any_mac = st.integers(0, (1 << 48) - 1)
    unicast = st.sampled_from(_UNICAST) | any_mac.map(lambda number: Mac(number & ~_GROUP_BIT))
    groups = st.sampled_from(_GROUPS) | any_mac.map(lambda number: Mac(number | _GROUP_BIT))
    return unicast | groups if group is None else groups if group else unicast


def vlan_ids(minimum: int = 0, maximum: int = ALL_VLANS) -> st.SearchStrategy[int]:
    """VLAN numbers, 0 (none) and 4095 (all, reserved in tags) among them."""
    if not 0 <= minimum <= maximum <= ALL_VLANS:
        raise InvalidArgument(f"{minimum} to {maximum} is no range of VLAN numbers (0 to {ALL_VLANS})")
    usual = [vlan for vlan in (0, 10, 20, 1, MAX_VLAN, ALL_VLANS) if minimum <= vlan <= maximum]
    every = st.integers(minimum, maximum)
    return st.sampled_from(usual) | every if usual else every


def priorities() -> st.SearchStrategy[int]:
    """802.1p priorities."""
    return st.integers(0, 7)


def tcis(
    vlans: Given[int] | None = None, *, priority: Given[int] | None = None, drop_eligible: bool | None = None
) -> st.SearchStrategy[int]:
    """Tag control information: priority << 13 | drop eligible << 12 | VLAN number."""
    dei = st.booleans() if drop_eligible is None else st.just(drop_eligible)
    return st.builds(
        lambda vlan, prio, eligible: prio << PRIORITY_SHIFT | (DEI_BIT if eligible else 0) | vlan,
        given_or(vlans, vlan_ids()),
        given_or(priority, priorities()),
        dei,
    )


def given_or(given: Any, otherwise: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The strategy that was given as a strategy, a list of values or a value; another one where none was."""
    if given is None:
        return otherwise
    if isinstance(given, st.SearchStrategy):
        return given
    return st.sampled_from(given) if isinstance(given, (list, tuple, range)) else st.just(given)
