"""The outer 802.1Q tag: out of a frame's bytes, into the column beside them (vmkapi_pkt.h, VLAN metadata)."""

from typing import Any

from numba import types

from iochain.kernels.compiled import compiled, part
from iochain.kernels.raw import load_be16
from iochain.kernels.rows import ETHERNET_BYTES, NO_TAG, ROWS, TAG_BYTES

_TPID = 0x8100


@part
def outer_tag(rest: int, length: int) -> int:
    """The TCI of the tag that begins at ``rest``, in a frame of so many bytes; NO_TAG if there is none.

    It counts where it is whole and an EtherType follows.
    """
    if length < ETHERNET_BYTES + TAG_BYTES or load_be16(rest) != _TPID:
        return NO_TAG
    return load_be16(rest + 2)  # type: ignore[no-any-return]


@compiled(types.void(ROWS))
def lift_tags(rows: Any) -> None:
    """Carry the outer tag of every row that has none beside its bytes."""
    for i in range(len(rows)):
        row = rows[i]
        tag = NO_TAG if row.tag != NO_TAG else outer_tag(row.address + row.skip, row.length)
        if tag != NO_TAG:
            row.tag = tag
            row.skip += TAG_BYTES
            row.length -= TAG_BYTES
            row.wire_length -= TAG_BYTES
