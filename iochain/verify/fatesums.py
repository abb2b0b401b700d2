"""The fates of all frames of a replay as one number each: the sum of a mixed number for each delivered copy and drop.

Copies come out in any order and in several windows; a sum does not mind. Two frames with the same fate have the same
sum, and with 64 mixed bits two others have not (one chance in 10¹² for a million kinds of fates).
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from attrs import define, field, frozen
from numba import types

from iochain.engine.network import Fates
from iochain.engine.path import Dropped
from iochain.experiment.live import GENERATED
from iochain.frame import VID_BITS
from iochain.kernels.compiled import compiled, part
from iochain.kernels.rows import NO_TAG, SERIAL_BITS
from iochain.topology.wiring import Wiring

_SERIALS: Final = (1 << SERIAL_BITS) - 1
_TAG_BITS: Final = 13
_FIRST: Final = 1 << 16
_UNKNOWN_AT_ONCE: Final = 4096
_DROP: Final = 1 << 60
_TAKEN: Final = 1 << 61
Sums = npt.NDArray[np.uint64]
Keys = npt.NDArray[np.int64]

_I64 = types.Array(types.int64, 1, "C")
_U64 = types.Array(types.uint64, 1, "C")


@frozen
class Kind:
    """One kind of fate of a copy: delivered at a port with a VLAN (0: without), dropped somewhere, or taken."""

    port: str
    vlan: int = 0
    is_tagged: bool = False
    where: str = ""
    stage: str = ""
    reason: str = ""
    is_taken: bool = False

    @property
    def is_drop(self) -> bool:
        """Whether it is a drop."""
        return bool(self.stage)

    def __str__(self) -> str:
        if self.is_drop:
            return f"dropped, {self.where}, {self.stage}: {self.reason}"
        if self.is_taken:
            return f"taken by the switch at {self.port}"
        return f"delivered at {self.port}" + (f" with tag {self.vlan}" if self.is_tagged else "")


@define
class Kinds:
    """The kinds of fates by number, the same for both sides of a comparison."""

    numbers: dict[Any, int] = field(factory=dict)
    names: list[str] = field(factory=list)  # of ports
    drops: list[Kind] = field(factory=list)

    def port(self, name: str) -> int:
        """The number of a port by its name."""
        return self._number(name, self.names, name)

    def drop(self, dropped: Dropped, port: str) -> int:
        """The number of a kind of drop."""
        rule = f" ({dropped.drop.rule})" if dropped.drop.rule else ""
        kind = Kind(port, 0, False, dropped.where, dropped.stage or "entry", dropped.drop.reason.value + rule)
        return self._number(kind, self.drops, kind)

    def kind(self, key: int) -> Kind:
        """What a key stands for."""
        if key & _DROP:
            return self.drops[key & ~_DROP]
        name, tag = self.names[key >> _TAG_BITS & 0xFFFFFFFF], (key & (1 << _TAG_BITS) - 1) - 1
        return Kind(name, max(tag, 0), tag >= 0, is_taken=bool(key & _TAKEN))

    def _number(self, key: Any, known: list[Any], value: Any) -> int:
        number = self.numbers.setdefault(key, len(known))
        if number == len(known):
            known.append(value)
        return number


@define(eq=False)
class Side:
    """One replay of a comparison: the sum of each frame by capture, and what sums stand for."""

    wiring: Wiring
    kinds: Kinds
    sums: list[Sums] = field(factory=list)  # by capture
    frames: int = 0  # that entered
    is_damaged: bool = False  # whether a capture could not be read to its end
    made_of: dict[int, Counter[int]] = field(factory=dict)  # keys by sum
    settings: dict[int, Any] = field(factory=dict)  # the setting that decided, by key of a drop
    _ports: Keys = field(init=False)
    _whys: Keys = field(factory=lambda: np.zeros(0, np.int64))
    _known: Sums = field(factory=lambda: np.zeros(_FIRST, np.uint64))  # a hash table of sums

    def __attrs_post_init__(self) -> None:
        self.made_of[0] = Counter()
        ports = [self.kinds.port(port.name) for port in self.wiring.ports]
        self._ports = np.array([*ports, self.kinds.port("nowhere")], np.int64) << _TAG_BITS

    def add(self, fates: Fates) -> None:
        """The fates of a window; frames that hosts make (beacons, RARP) are none of a capture, and left out."""
        self._know(fates.whys)
        parts = [
            (fates.delivered.column("order"), self._delivered(fates.delivered)),
            (fates.dropped.column("order"), self._whys[fates.why]),
        ]
        if len(fates.consumed):
            parts.append((fates.consumed.column("order"), self._delivered(fates.consumed) | _TAKEN))
        orders = np.concatenate([order for order, _ in parts])
        keys = np.concatenate([key for _, key in parts])
        captured = orders >> SERIAL_BITS < GENERATED
        if not captured.all():
            orders, keys = orders[captured], keys[captured]
        sources = orders >> SERIAL_BITS
        last = int(sources.max(initial=0))
        for source in range(last + 1):
            mine = orders & _SERIALS if last == 0 else orders[sources == source] & _SERIALS
            self._add(source, mine - 1, keys if last == 0 else keys[sources == source])

    def _add(self, source: int, index: Keys, keys: Keys) -> None:
        while len(self.sums) <= source:
            self.sums.append(np.zeros(_FIRST, np.uint64))
        if not len(index):
            return
        sums = self.sums[source]
        needed = int(index.max()) + 1
        if needed > len(sums):
            more = np.zeros(max(needed, 2 * len(sums)) - len(sums), np.uint64)
            self.sums[source] = sums = np.concatenate([sums, more])
        with np.errstate(over="ignore"):  # of kernels that run as Python
            add_mixed(index, keys, sums)
        unknown = np.zeros(_UNKNOWN_AT_ONCE, np.int64)
        while (count := find_unknown(index, sums, self._known, unknown)) > 0:
            self._learn(unknown[:count], index, keys, sums)

    def _learn(self, unknown: Keys, index: Keys, keys: Keys, sums: Sums) -> None:
        """Write down what new sums are made of: what came in this window, and what the sum before was made of."""
        for number in unknown.tolist():
            total = int(sums[number])
            if total in self.made_of:
                continue
            mine = keys[index == number]
            fresh = Counter(mine.tolist())
            before = (total - int(mixed(mine).sum())) & (1 << 64) - 1
            self.made_of[total] = self.made_of.get(before, Counter()) + fresh
        self._remember([int(sums[number]) for number in unknown.tolist()])

    def _remember(self, totals: Sequence[int]) -> None:
        if 2 * (len(self.made_of) + len(totals)) > len(self._known):
            self._known = np.zeros(4 * len(self._known), np.uint64)
            totals = list(self.made_of)
        put_known(np.array([total for total in totals if total], np.uint64), self._known)

    def _delivered(self, batch: Any) -> Keys:
        """The keys of delivered copies: port and tag."""
        tags = batch.column("tag").astype(np.int64)
        keys: Keys = self._ports[batch.column("port")]
        keys += np.where(tags == NO_TAG, 0, (tags & VID_BITS) + 1)
        return keys

    def _know(self, whys: Sequence[Dropped]) -> None:
        """The keys of drops that are new."""
        if len(self._whys) == len(whys):
            return
        found = self._whys.tolist()
        for dropped in whys[len(found) :]:
            name = self.wiring.ports[dropped.port].name if dropped.port >= 0 else "nowhere"
            key = _DROP | self.kinds.drop(dropped, name)
            self.settings.setdefault(key, dropped.setting)
            found.append(key)
        self._whys = np.array(found, np.int64)


@part
def mixed(key: Any) -> Any:
    """64 bits in which those of a key are spread (the finalizer of splitmix64)."""
    bits = np.uint64(key) + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@compiled(types.void(_I64, _I64, _U64))
def add_mixed(index: Any, keys: Any, sums: Any) -> None:
    """Add the mixed key of each copy to the sum of its frame."""
    for i in range(len(index)):
        sums[index[i]] += mixed(keys[i])


@compiled(types.int64(_I64, _U64, _U64, _I64))
def find_unknown(index: Any, sums: Any, known: Any, unknown: Any) -> int:
    """Fill ``unknown`` with frames whose sums are not in the hash table; gives how many, at most its length."""
    count, last, mask = 0, np.uint64(0), np.uint64(len(known) - 1)
    for i in range(len(index)):
        total = sums[index[i]]
        if total == last or total == 0:
            continue
        last = total
        at = total & mask
        while known[at] != 0 and known[at] != total:
            at = (at + np.uint64(1)) & mask
        if known[at] == 0:
            unknown[count] = index[i]
            count += 1
            if count == len(unknown):
                break
    return count


@compiled(types.void(_U64, _U64))
def put_known(totals: Any, known: Any) -> None:
    """Put sums into the hash table."""
    mask = np.uint64(len(known) - 1)
    for i in range(len(totals)):
        at = totals[i] & mask
        while known[at] != 0 and known[at] != totals[i]:
            at = (at + np.uint64(1)) & mask
        known[at] = totals[i]
