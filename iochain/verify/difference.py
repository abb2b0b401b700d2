"""What two labs do differently with the same captures: which frames change their fate, in groups, and by which setting.

Both replays run once, and nothing of a frame is kept but one number on each side.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from attrs import define, evolve, field, frozen

from iochain.batch import Batch, batch_of, source_and_serial
from iochain.capture import OutInterface, PcapngWriter, read_captures
from iochain.chain import From
from iochain.kernels.rows import SERIAL_BITS
from iochain.lab import Lab
from iochain.replay import Options, Windows
from iochain.verify.causes import Causes
from iochain.verify.fatesums import Keys, Kind, Kinds, Side

SAMPLES: Final = 3
"""Frames of each group that are kept."""
_MOST_CAUSES: Final = 8
"""Groups, the largest, whose cause is found by trial."""


@frozen
class Sample:
    """A frame of a group: its capture, its number in it from 1, its bytes."""

    capture: str
    frame: int
    time_ns: int
    data: bytes = field(repr=False)


@frozen
class Group:
    """Frames that lost the same copies and drops, and gained the same: what became of them before and now."""

    old: tuple[Kind, ...]  # only what is not on the other side too
    new: tuple[Kind, ...]
    setting: From | None  # that decided: the one difference of the labs that does, else that of a drop
    frames: int
    samples: tuple[Sample, ...] = ()


@frozen
class Difference:
    """What came of comparing two labs: groups, the largest first, and how many frames fared alike."""

    groups: tuple[Group, ...]
    frames: int
    damaged: bool

    @property
    def changed(self) -> int:
        """How many frames have another fate."""
        return sum(group.frames for group in self.groups)


@define
class _Gathered:
    """Frames of one group while they are found."""

    old: Counter[int]
    new: Counter[int]
    frames: int = 0
    first: list[tuple[int, int]] = field(factory=list)  # capture and frame


def difference(
    lab_a: Lab, lab_b: Lab, captures: Sequence[str], options: Options | None = None, samples: int = SAMPLES
) -> Difference:
    """Replay captures through both labs and compare fates. CaptureError if a capture cannot be opened."""
    chosen = evolve(options or Options(), output=None)
    kinds = Kinds()
    before, after = (_side(lab, kinds, captures, chosen) for lab in (lab_a, lab_b))
    gathered = _gathered(before, after, samples)
    found = _samples(captures, chosen, [place for one in gathered for place in one.first])
    groups: list[Group] = []
    causes = Causes(lab_a, lab_b, chosen)
    for one in sorted(gathered, key=lambda one: -one.frames):
        kept = tuple(found[place] for place in one.first if place in found)
        setting = causes.only
        if setting is None and kept and len(groups) < _MOST_CAUSES:
            setting = causes.of(kept[0].capture, kept[0].data, kept[0].time_ns)
        setting = setting or _setting(one, before, after)
        groups.append(Group(_named(one.old, kinds), _named(one.new, kinds), setting, one.frames, kept))
    frames = max(before.frames, after.frames)
    return Difference(tuple(groups), frames, before.is_damaged or after.is_damaged)


def write_samples(result: Difference, path: Path) -> int:
    """Write the samples to a pcapng, each with its group as a comment; gives how many.

    CaptureError if it cannot be written.
    """
    with PcapngWriter(path, [OutInterface("samples", "frames whose fate differs")]) as writer:
        for number, group in enumerate(result.groups, 1):
            for sample in group.samples:
                said = f"group {number}: {told(group.old)} → {told(group.new)}; {sample.capture}#{sample.frame}"
                writer.write(batch_of([(sample.data, sample.time_ns)]), 0, 0, writer.comment(said))
        return writer.frames


def told(kinds: Sequence[Kind]) -> str:
    """Fates in words."""
    return " and ".join(map(str, kinds)) or "nothing"


# -- the two sides


def _side(lab: Lab, kinds: Kinds, captures: Sequence[str], options: Options) -> Side:
    """The sums of one lab."""
    wiring = lab.wiring
    side = Side(wiring, kinds)
    run = Windows(wiring, captures, options)
    for fates in run:
        side.add(fates)
    side.is_damaged, side.frames = run.damaged, run.frames
    return side


def _gathered(before: Side, after: Side, samples: int) -> list[_Gathered]:
    """Frames of all captures whose sums differ, by what is lost and what is gained."""
    groups: dict[Any, _Gathered] = {}
    for source in range(max(len(before.sums), len(after.sums))):
        old, new = _aligned(before, after, source)
        changed = np.flatnonzero(old != new)
        if not len(changed):
            continue
        for pair, count, first in _pairs(old[changed], new[changed], changed, samples):
            was, now = before.made_of[pair[0]], after.made_of[pair[1]]
            lost, gained = was - now, now - was
            key = (tuple(sorted(lost.items())), tuple(sorted(gained.items())))
            group = groups.setdefault(key, _Gathered(lost, gained))
            group.frames += count
            group.first += [(source, index + 1) for index in first]
    for group in groups.values():
        group.first = sorted(group.first)[:samples]
    return list(groups.values())


def _aligned(before: Side, after: Side, source: int) -> Any:
    """The sums of one capture on both sides, equally long."""
    both = [side.sums[source] if source < len(side.sums) else np.zeros(0, np.uint64) for side in (before, after)]
    longest = max(map(len, both))
    return [np.concatenate([sums, np.zeros(longest - len(sums), np.uint64)]) for sums in both]


def _pairs(old: Any, new: Any, index: Keys, samples: int) -> Iterator[tuple[tuple[int, int], int, list[int]]]:
    """Each pair of sums, how many frames have it, and the first of them."""
    olds, old_number = np.unique(old, return_inverse=True)
    news, new_number = np.unique(new, return_inverse=True)
    pairs = old_number.astype(np.int64) * len(news) + new_number
    order = np.argsort(pairs, kind="stable")
    found, starts, counts = np.unique(pairs[order], return_index=True, return_counts=True)
    for pair, start, count in zip(found.tolist(), starts.tolist(), counts.tolist(), strict=True):
        first = index[order[start : start + min(samples, count)]].tolist()
        yield (int(olds[pair // len(news)]), int(news[pair % len(news)])), count, first


def _named(keys: Counter[int], kinds: Kinds) -> tuple[Kind, ...]:
    return tuple(sorted((kinds.kind(key) for key in keys.elements()), key=str))


# -- the setting that decided


def _setting(one: _Gathered, before: Side, after: Side) -> From | None:
    """The setting of a drop that is new, else of one that is no more."""
    for keys, side in ((one.new, after), (one.old, before)):
        for key in sorted(keys):
            setting: From | None = side.settings.get(key)
            if setting is not None:
                return setting
    return None


# -- samples


def _samples(
    captures: Sequence[str], options: Options, places: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], Sample]:
    """The bytes of some frames, by capture and number; the captures are read no further than to the last of them."""
    wanted = {source << SERIAL_BITS | frame for source, frame in places}
    found: dict[tuple[int, int], Sample] = {}
    if not wanted or "-" in captures:
        return found
    orders = np.array(sorted(wanted), np.int64)
    with read_captures(
        captures,
        piece_bytes=options.piece_bytes,
        start_ns=options.start_ns,
        stop_ns=options.stop_ns,
        limit=options.limit,
    ) as reader:
        for batch, _ in reader:
            for index in np.flatnonzero(np.isin(batch.column("order"), orders)).tolist():
                sample = _sample(batch, index, captures)
                found[int(batch.rows["order"][index]) >> SERIAL_BITS, sample.frame] = sample
            if len(found) == len(wanted):
                break
    return found


def _sample(batch: Batch, index: int, captures: Sequence[str]) -> Sample:
    row = batch.rows[index]
    source, serial = source_and_serial(int(row["order"]))
    return Sample(captures[source], serial, int(row["time_ns"]), batch.frame_bytes(index))
