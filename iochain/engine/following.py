"""Following paths: the compiled step from "frame i takes path p" to tagged frames, copies at ports, and drops."""

from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen
from numba import types

from iochain.batch import Batch
from iochain.engine.path import UNCHANGED, PathColumns
from iochain.kernels.compiled import compiled
from iochain.kernels.rows import ROW, ROWS


@frozen(eq=False)
class Followed:
    """Frames that went on or were copied, and frames that were dropped, ``why[i]`` the number of the drop."""

    batch: Batch
    dropped: Batch
    why: npt.NDArray[np.int32]


def follow(batch: Batch, taken: npt.NDArray[np.int32], paths: PathColumns) -> Followed:
    """What becomes of frames that take these paths. Copies of a frame stand by port number, drops by path."""
    copies, drops = measure(taken, paths.goes_on, paths.fan_out, paths.first_why)
    rows, lost = np.empty(copies, ROW), np.empty(drops, ROW)
    why = np.empty(drops, np.int32)
    spread(
        batch.rows,
        taken,
        paths.tags,
        paths.goes_on,
        paths.first_port,
        paths.ports,
        paths.group,
        paths.except_,
        paths.first_why,
        paths.whys,
        paths.first_member,
        paths.members,
        rows,
        lost,
        why,
    )
    return Followed(Batch(rows, batch.pins), Batch(lost, batch.pins), why)


def tag_in_place(batch: Batch, taken: npt.NDArray[np.int32], paths: PathColumns) -> bool:
    """Give frames the tags of their paths if all of them go on; False if some do not: these are to be followed."""
    return bool(retag(batch.rows, taken, paths.tags, paths.goes_on))


def count_taken(taken: npt.NDArray[np.int32], paths: int) -> npt.NDArray[np.int64]:
    """How many frames took each path."""
    counts = np.zeros(paths, np.int64)
    count_paths(taken, counts)
    return counts


_I32 = types.Array(types.int32, 1, "C")
_I64 = types.Array(types.int64, 1, "C")
_BOOL = types.Array(types.boolean, 1, "C")


@compiled(types.UniTuple(types.int64, 2)(_I32, _BOOL, _I64, _I32))
def measure(taken: Any, goes_on: Any, fan_out: Any, first_why: Any) -> tuple[int, int]:
    """How many copies and how many drops these paths make."""
    copies, drops = 0, 0
    for i in range(len(taken)):
        path = taken[i]
        copies += 1 if goes_on[path] else fan_out[path]
        drops += first_why[path + 1] - first_why[path]
    return copies, drops


@compiled(types.void(ROWS, _I32, _I32, _BOOL, _I32, _I32, _I32, _I32, _I32, _I32, _I32, _I32, ROWS, ROWS, _I32))
def spread(
    rows: Any,
    taken: Any,
    tags: Any,
    goes_on: Any,
    first_port: Any,
    ports: Any,
    group: Any,
    except_: Any,
    first_why: Any,
    whys: Any,
    first_member: Any,
    members: Any,
    copies: Any,
    lost: Any,
    why: Any,
) -> None:
    """Fill ``copies``, ``lost`` and ``why``, which have the sizes that :func:`measure` gave."""
    made, dropped = 0, 0
    for i in range(len(rows)):
        path = taken[i]
        tag = tags[path] if tags[path] != UNCHANGED else rows[i].tag
        if goes_on[path]:
            copies[made] = rows[i]
            copies[made].tag = tag
            made += 1
            continue
        own, own_end = first_port[path], first_port[path + 1]
        member, member_end = 0, 0
        if group[path] >= 0:
            member, member_end = first_member[group[path]], first_member[group[path] + 1]
        while own < own_end or member < member_end:
            if member < member_end and (own == own_end or members[member] < ports[own]):
                port = members[member]
                member += 1
                if port == except_[path]:
                    continue
            else:
                port = ports[own]
                own += 1
            copies[made] = rows[i]
            copies[made].tag = tag
            copies[made].port = port
            made += 1
        for number in range(first_why[path], first_why[path + 1]):
            lost[dropped] = rows[i]
            lost[dropped].tag = tag
            why[dropped] = whys[number]
            dropped += 1


@compiled(types.boolean(ROWS, _I32, _I32, _BOOL))
def retag(rows: Any, taken: Any, tags: Any, goes_on: Any) -> bool:
    """Put the tags of paths on rows, in their places, up to the first that does not go on; whether there was none."""
    for i in range(len(rows)):
        path = taken[i]
        if not goes_on[path]:
            return False
        if tags[path] != UNCHANGED:
            rows[i].tag = tags[path]
    return True


@compiled(types.void(_I32, _I64))
def count_paths(taken: Any, counts: Any) -> None:
    """Add every frame to the count of its path."""
    for i in range(len(taken)):
        counts[taken[i]] += 1


@compiled(types.void(ROWS, _I32, _I32, _I32, _I32))
def lead(rows: Any, taken: Any, tags: Any, first_port: Any, ports: Any) -> None:
    """Give every row, in its place, the tag and the one port of its path."""
    for i in range(len(rows)):
        path = taken[i]
        if tags[path] != UNCHANGED:
            rows[i].tag = tags[path]
        rows[i].port = ports[first_port[path]]
