"""The outer 802.1Q tag: out of a frame's bytes, into the column beside them (vmkapi_pkt.h, VLAN metadata)."""

from typing import Any

from numba import types

from iochain.kernels.compiled import compiled
from iochain.kernels.raw import load_be16
from iochain.kernels.rows import ETHERNET_BYTES, NO_TAG, ROWS, TAG_BYTES

_TPID = 0x8100


@compiled(types.void(ROWS))
def lift_tags(rows: Any) -> None:
    """Carry the first 0x8100 tag of every row beside its bytes, where a whole tag and an EtherType are there."""
    for i in range(len(rows)):
        row = rows[i]
        if row.tag != NO_TAG or row.length < ETHERNET_BYTES + TAG_BYTES:
            continue
        rest = row.address + row.skip
        if load_be16(rest) == _TPID:
            row.tag = load_be16(rest + 2)
            row.skip += TAG_BYTES
            row.length -= TAG_BYTES
            row.wire_length -= TAG_BYTES
