"""Frames that Hypothesis draws, of the addresses and VLANs of a lab; the same ones in each run."""

from iochain.frame import Mac
from iochain.testing.addresses import given_or, macs, vlan_ids
from iochain.testing.drawing import pool_of
from iochain.testing.ethernet import Size, frames
from iochain.verify.candidates import Borders


def drawn_frames(borders: Borders, examples: int) -> list[bytes]:
    """Whole frames of every kind, at most so many, the shortest first."""
    known = [Mac(one) for one in (*borders.macs, *borders.others)]
    some = frames(
        sources=given_or(known, macs()) | macs(group=False),
        destinations=given_or(known, macs()) | macs(),
        vlans=given_or(borders.vlans, vlan_ids()) | vlan_ids(),
        sizes=(Size.PLAIN, Size.RUNT),
        cut=False,
    )
    return [bytes(frame) for frame in pool_of(some, examples)]
