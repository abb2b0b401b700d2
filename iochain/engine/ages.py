"""When each physical switch saw each MAC last: what the ageing of learned entries goes by, without a write a frame."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from attrs import define, field
from numba import types

from iochain.frame import VID_BITS
from iochain.kernels.compiled import compiled, part
from iochain.kernels.raw import load_be16, load_be32
from iochain.kernels.rows import NO_TAG, NOWHERE, ROWS
from iochain.topology.spec import PortMode
from iochain.topology.wiring import Wiring

_FIRST_SLOTS: Final = 1 << 8
_PLACE, _MAC, _TIME = 0, 1, 2
_COLUMNS = 3
_VLAN_BITS = 16


@define
class Ages:
    """Times by switch, VLAN and MAC. By port number: the switch (NOWHERE: none that ages), the VLAN of frames without
    tag, and whether that is the VLAN of all frames."""

    switches: tuple[str, ...]
    switch: npt.NDArray[np.int32]
    vlan: npt.NDArray[np.int32]
    is_access: npt.NDArray[np.bool_]
    table: npt.NDArray[np.int64] = field(factory=lambda: np.zeros((_FIRST_SLOTS, _COLUMNS), np.int64))
    count: int = 0

    @classmethod
    def of(cls, wiring: Wiring) -> "Ages":
        """Nothing was seen yet."""
        count = len(wiring.ports)
        ages = cls((), np.full(count, NOWHERE, np.int32), np.zeros(count, np.int32), np.zeros(count, np.bool_))
        names: list[str] = []
        for switch in wiring.fabric.switches.values():
            if not switch.ageing_ns:
                continue
            for port in switch.ports:
                policy, number = switch.policies[port.name], port.number
                ages.switch[number] = len(names)
                ages.is_access[number] = policy.mode.value is PortMode.ACCESS
                ages.vlan[number] = (policy.vlan if ages.is_access[number] else policy.native_vlan).value or 0
            names.append(switch.name)
        ages.switches = tuple(names)
        return ages

    @property
    def is_needed(self) -> bool:
        """Whether there is a switch whose entries age."""
        return bool(self.switches)

    def see(self, rows: Any, tags: npt.NDArray[np.int32], reached: npt.NDArray[np.bool_]) -> None:
        """Note frames that came in by their ports of entry with these tags, where they ``reached`` the switch."""
        first = 0
        while True:
            columns = (self.switch, self.vlan, self.is_access)
            first, self.count = see_rows(rows, tags, reached, first, *columns, self.table, self.count)
            if first == len(rows):
                return
            larger = np.zeros((2 * len(self.table), _COLUMNS), np.int64)
            move_times(self.table, larger)
            self.table = larger

    def last_ns(self, switch: str, vlan: int, mac: int) -> int | None:
        """When a switch saw a MAC last in a VLAN; None if it never did."""
        place = (self.switches.index(switch) + 1) << _VLAN_BITS | vlan
        row = self.table[find_slot(self.table, place, mac)]
        return int(row[_TIME]) if row[_PLACE] else None


_TABLE = types.Array(types.int64, 2, "C")
_NUMBERS = types.Array(types.int32, 1, "C")
_FLAGS = types.Array(types.boolean, 1, "C")


@part
def _slot_of(table: Any, place: Any, mac: Any) -> Any:
    """The slot of a key, or the empty one where it would be."""
    mask = len(table) - 1
    slot = ((mac ^ (mac >> 17) ^ (place * 40503)) * 2654435761 >> 13) & mask
    while table[slot, _PLACE] != 0 and (table[slot, _PLACE] != place or table[slot, _MAC] != mac):
        slot = (slot + 1) & mask
    return slot


@compiled(types.int64(_TABLE, types.int64, types.int64))
def find_slot(table: Any, place: int, mac: int) -> int:
    """The slot of a key, or an empty one."""
    return _slot_of(table, place, mac)  # type: ignore[no-any-return]


@compiled(
    types.UniTuple(types.int64, 2)(ROWS, _NUMBERS, _FLAGS, types.int64, _NUMBERS, _NUMBERS, _FLAGS, _TABLE, types.int64)
)
def see_rows(
    rows: Any, tags: Any, reached: Any, first: int, switch: Any, vlans: Any, is_access: Any, table: Any, count: int
) -> tuple[int, int]:
    """Note rows from ``first`` on, until the table is half full; gives how far it came, and the number of keys."""
    for i in range(first, len(rows)):
        row = rows[i]
        if row.entry < 0 or switch[row.entry] < 0 or not reached[i]:
            continue
        if 2 * (count + 1) > len(table):
            return i, count
        vlan = vlans[row.entry]
        if not is_access[row.entry] and tags[i] != NO_TAG and tags[i] & VID_BITS:
            vlan = tags[i] & VID_BITS
        place = np.int64(switch[row.entry] + 1) << _VLAN_BITS | vlan
        mac = np.int64(load_be16(row.address + 6)) << 32 | np.int64(load_be32(row.address + 8))
        slot = _slot_of(table, place, mac)
        if table[slot, _PLACE] == 0:
            table[slot, _PLACE], table[slot, _MAC] = place, mac
            count += 1
        table[slot, _TIME] = max(table[slot, _TIME], row.time_ns)
    return len(rows), count


@compiled(types.void(_TABLE, _TABLE))
def move_times(table: Any, larger: Any) -> None:
    """Put all entries into a larger table."""
    for i in range(len(table)):
        if table[i, _PLACE]:
            slot = _slot_of(larger, table[i, _PLACE], table[i, _MAC])
            for column in range(_COLUMNS):
                larger[slot, column] = table[i, column]
