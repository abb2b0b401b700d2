"""Frames and ports for stages: what a stage gets, made of bytes, and what it read of a frame, in words."""

import struct
from typing import Any

from iochain.batch import batch_of
from iochain.chain import Port, PortKind
from iochain.frame import Frame, Mac, Notes
from iochain.kernels import words as w
from iochain.kernels.parse import parse
from iochain.kernels.rows import FROM_UPLINK

OWN = Mac("00:50:56:00:00:01")
OTHER = Mac("00:50:56:00:00:02")
STRANGER = Mac("00:50:56:00:00:99")
GROUP = Mac("01:00:5e:00:00:01")
EVERYONE = Mac("ff:ff:ff:ff:ff:ff")
PORT = Port("web", 3, 0x01000005, PortKind.VNIC, "esx1", "vSwitch0", "Prod", 10, OWN, OWN, "uplinks of Prod", 1)
UPLINK = Port("vmnic0", 0, 0x81000002, PortKind.UPLINK, "esx1", "vSwitch0")


def data(
    destination: int = OTHER,
    source: int = OWN,
    tci: int | None = None,
    rest: bytes = b"\x08\x00",
    length: int = 0,
) -> bytes:
    """An Ethernet frame; ``rest`` from its EtherType on, zeros up to ``length`` behind (the tag not counted)."""
    tag = b"" if tci is None else struct.pack(">HH", 0x8100, tci)
    addresses = int(destination).to_bytes(6, "big") + int(source).to_bytes(6, "big")
    return addresses + tag + rest + bytes(max(0, length - 12 - len(rest)))


FIRST_UPLINK = 10
"""In these tests ports from this number on are uplinks."""


def frame_of(raw: bytes, entry: int | None = None) -> Frame:
    """The frame that a stage sees, with notes of its own."""
    batch = batch_of([(raw, 0)])
    if entry is not None:
        batch.rows["entry"] = entry
        batch.rows["flags"] = FROM_UPLINK if entry >= FIRST_UPLINK else 0
    (words,) = parse(batch.rows).tolist()
    return Frame(words, Notes())


def frame(*args: Any, entry: int | None = None, **keys: Any) -> Frame:
    """:func:`data` as a frame."""
    return frame_of(data(*args, **keys), entry)


def untagged() -> Frame:
    return frame()


def tagged(vlan: int, priority: int = 0) -> Frame:
    return frame(tci=priority << 13 | vlan)


def read_of(seen: Frame) -> dict[str, int]:
    """The bits that were read of a frame, by word; ``PRESENT`` gives way to the names of what was looked for."""
    masks = seen.notes.masks
    looked = {f"has {w.NAMES[i]}": 1 for i in range(1, w.COUNT) if masks[w.PRESENT] >> i & 1}
    return {w.NAMES[i]: mask for i, mask in enumerate(masks) if mask and i != w.PRESENT} | looked
