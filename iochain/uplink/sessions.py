"""Sessions of LRO, compiled: which candidates become one frame, when that leaves, and what bytes it has.

All state is numbers: a row of ``lanes`` for each port, ``slots`` rows of ``sessions`` for each lane, the first
frame of each session in ``heads``, and a chain of ``pieces``, which say where the payload lies. Parts are handed
addresses, not arrays.
"""

from typing import Any, Final

import numpy as np
from numba import types

from iochain.kernels.compiled import compiled, part, part_in_line
from iochain.kernels.order import precedes
from iochain.kernels.raw import (
    copy,
    load_be16,
    load_be32,
    load_le64,
    load_mac,
    load_u8,
    prefetch,
    store_be16,
    store_be32,
    store_le16,
    store_le64,
    store_u8,
)
from iochain.kernels.rows import ADDRESS_BYTES, ETHERNET_BYTES, MAX_TIME_NS, ROW, ROWS
from iochain.uplink import candidates as c
from iochain.uplink.checksum import folded, header_total, swapped

# Columns of a lane: its settings, of which RULES has bits (:mod:`iochain.uplink.candidates`),
MTU, MAX_BYTES, MAX_FRAMES, SLOTS, RULES, POLL_NS, POLL_FRAMES, THRESHOLD, NUMERATOR, DENOMINATOR, BACKOFF = range(11)
# the poll that is open, if POLLED is not 0, and before when nothing may leave;
DEADLINE, POLLED, OPEN, LISTED, NOT_BEFORE = range(11, 16)
# the adaptive decision (candidates, what became of them, candidates to wait for); and from COUNTED on the counters.
TAKEN, GIVEN, WAIT, COUNTED = range(16, 20)
FRAMES, BYTES, LARGE, UNSERVED, PAUSED, WRONG = range(COUNTED, COUNTED + 6)
LANE_COLUMNS: Final = COUNTED + 6

# Columns of a session; one of no frames is free. LENGTH counts from the IP header,
# PAYLOAD_AT and STAMP_AT from the first byte; MACS and HEAD are where the first frame begins, without and with skip.
COUNT, FLOW, NEXT, LENGTH, PAYLOAD_AT, LARGEST, MACS, HEAD, ACK, WINDOW = range(10)
STAMP_AT, STAMP, ECHO, PUSHED, SUM, CAPTURED, IS_WHOLE, FIRST, LAST, PLACE = range(10, 20)
SESSION_COLUMNS: Final = 20

# Columns of a piece: where payload lies, how much of it was captured, and the next piece of its session.
PIECE_AT, PIECE_BYTES, PIECE_NEXT = range(3)
PIECE_COLUMNS: Final = 3

# Where rows go, where the next row and the next session that was made go, the number of the next piece, what is known
# of the checksum of the frame in hand, how many frames vanished in others, and how many bytes all that was made has.
OUT, NEXT_OUT, NEXT_MADE, NEXT_PIECE, STATE, MERGED, ROOM = range(7)
HANDED_COLUMNS: Final = 7

_ROW_BYTES: Final = ROW.itemsize
_TIME_AT, _CHECKSUM_AT = (int(ROW.fields[name][1]) for name in ("time_ns", "checksum"))  # type: ignore[index]
_LOW = 0xFFFFFFFF
_AHEAD, _LINE_BYTES = 6, 64  # how many frames ahead headers are fetched, and how far their second line is

_STATE = types.Array(types.int64, 2, "C")
_LANES = types.Array(types.int32, 1, "C")
_VECTOR = types.Array(types.int64, 1, "C")


@part
def _start(array: Any) -> int:
    """Where an array lies, as the signed number that loads take."""
    return np.int64(array.ctypes.data)  # type: ignore[return-value]


# -- the poll


@part
def _later(time_ns: int, ns: int) -> int:
    """A time so much later, at most the last there is."""
    return time_ns + ns if time_ns <= MAX_TIME_NS - ns else MAX_TIME_NS


@part
def _is_over(lane: int, time_ns: int) -> bool:
    """Whether the poll, if there is one, ended before a frame that comes at this time."""
    return bool(time_ns >= load_le64(lane + 8 * DEADLINE))


@part
def _begin_poll(lane: int, time_ns: int) -> None:
    """Begin a poll if none is open; between two polls it is decided whether to go on putting frames together."""
    if load_le64(lane + 8 * POLLED) != 0 and not _is_over(lane, time_ns):
        return
    store_le64(lane + 8 * DEADLINE, _later(time_ns, load_le64(lane + 8 * POLL_NS)))
    store_le64(lane + 8 * POLLED, 0)
    threshold, taken = load_le64(lane + 8 * THRESHOLD), load_le64(lane + 8 * TAKEN)
    if threshold == 0 or taken < threshold:
        return
    if load_le64(lane + 8 * GIVEN) * load_le64(lane + 8 * DENOMINATOR) >= taken * load_le64(lane + 8 * NUMERATOR):
        store_le64(lane + 8 * WAIT, threshold * load_le64(lane + 8 * BACKOFF))
    store_le64(lane + 8 * TAKEN, 0)
    store_le64(lane + 8 * GIVEN, 0)


@part
def _count(lane: int) -> bool:
    """Count a frame of the poll; whether it was the last, so that the next one begins another."""
    polled = load_le64(lane + 8 * POLLED) + 1
    is_last = polled >= load_le64(lane + 8 * POLL_FRAMES)
    store_le64(lane + 8 * POLLED, 0 if is_last else polled)
    return bool(is_last)


@part
def _add(at: int, count: int) -> None:
    store_le64(at, load_le64(at) + count)


@part
def _find(row: Any, at: int, sessions: int, slots: int) -> int:
    """Which of a lane's sessions is this flow's; -1: none."""
    flow, addresses = c.flow(row, at), c.first_byte(row) + ETHERNET_BYTES
    for slot in range(slots):
        session = sessions + slot * 8 * SESSION_COLUMNS
        if load_le64(session + 8 * COUNT) == 0 or load_le64(session + 8 * FLOW) != flow:
            continue
        first = load_le64(session + 8 * HEAD) + ETHERNET_BYTES
        if flow & 1:
            differs = load_le64(addresses + 12) ^ load_le64(first + 12)
        else:
            differs = load_le64(addresses + 8) ^ load_le64(first + 8)
            differs |= load_le64(addresses + 16) ^ load_le64(first + 16)
            differs |= load_le64(addresses + 24) ^ load_le64(first + 24)
            differs |= load_le64(addresses + 32) ^ load_le64(first + 32)
        if differs == 0:
            return slot
    return -1


@part
def _free(sessions: int, slots: int) -> int:
    """The first free session of a lane; -1: none."""
    for slot in range(slots):
        if load_le64(sessions + slot * 8 * SESSION_COLUMNS + 8 * COUNT) == 0:
            return slot
    return -1


@part
def _stamp_follows(row: Any, stamp_at: int, session: int) -> bool:
    """Whether TSval is not older than the session's, and TSecr not 0 (RFC 7323, 4: numbers modulo 2³²)."""
    if stamp_at == 0:
        return True
    stamp = c.first_byte(row) + stamp_at
    newer_by = (load_be32(stamp) - load_le64(session + 8 * STAMP)) & _LOW
    return bool(newer_by < 1 << 31 and load_be32(stamp + 4) != 0)


@part
def _options_agree(row: Any, at: int, stamp_at: int, session: int) -> bool:
    """Whether all bytes of TCP options but the timestamp are those of the session's first frame."""
    end = c.payload_at(row, at)
    if end != load_le64(session + 8 * PAYLOAD_AT) or stamp_at != load_le64(session + 8 * STAMP_AT):
        return False
    at += c.TCP_BYTES
    if end - at == c.STAMP_BYTES + 2 and stamp_at == at + 4:  # NOP, NOP, timestamp in both
        return True
    mine, first = c.first_byte(row), load_le64(session + 8 * HEAD)
    while at < end:
        is_stamp = stamp_at != 0 and stamp_at <= at < stamp_at + 8
        if not is_stamp and load_u8(mine + at) != load_u8(first + at):
            return False
        at += 1
    return True


@part
def _follows(row: Any, at: int, stamp_at: int, session: int, lane: int) -> bool:
    """Whether a candidate goes on where its session ends."""
    if load_be32(c.first_byte(row) + at + 4) != load_le64(session + 8 * NEXT):
        return False
    macs = load_le64(session + 8 * MACS)
    if load_le64(lane + 8 * RULES) & c.SAME_MACS and (
        load_mac(row.address) != load_mac(macs) or load_mac(row.address + 6) != load_mac(macs + 6)
    ):
        return False
    payload = row.wire_length - c.payload_at(row, at)
    if load_le64(session + 8 * LENGTH) + payload > load_le64(lane + 8 * MAX_BYTES):
        return False
    return _options_agree(row, at, stamp_at, session) and _stamp_follows(row, stamp_at, session)


# -- sessions


@part
def _add_piece(row: Any, at: int, session: int, pieces: int, work: int) -> None:
    """Note where a frame's payload lies; behind one that the snap length cut nothing can follow."""
    if load_le64(session + 8 * IS_WHOLE) == 0:
        return
    payload_at = c.payload_at(row, at)
    captured = row.length - payload_at
    number = load_le64(work + 8 * NEXT_PIECE)
    store_le64(work + 8 * NEXT_PIECE, number + 1)
    piece = pieces + number * 8 * PIECE_COLUMNS
    store_le64(piece + 8 * PIECE_AT, c.first_byte(row) + payload_at)
    store_le64(piece + 8 * PIECE_BYTES, captured)
    store_le64(piece + 8 * PIECE_NEXT, -1)
    last = load_le64(session + 8 * LAST)
    if last < 0:
        store_le64(session + 8 * FIRST, number)
    else:
        store_le64(pieces + last * 8 * PIECE_COLUMNS + 8 * PIECE_NEXT, number)
    store_le64(session + 8 * LAST, number)
    _add(session + 8 * CAPTURED, captured)
    store_le64(session + 8 * IS_WHOLE, row.length == row.wire_length)


@part_in_line
def _grow(row: Any, at: int, stamp_at: int, session: int, rules: int) -> None:
    """What of a frame's headers goes into its session: acknowledgment, window and TSecr of the newest."""
    frame, payload = c.first_byte(row), row.wire_length - c.payload_at(row, at)
    length = load_le64(session + 8 * LENGTH)
    if rules & c.SUMS:
        added = c.sum_of_payload(row, at)
        is_odd = (length + ETHERNET_BYTES - load_le64(session + 8 * PAYLOAD_AT)) & 1
        _add(session + 8 * SUM, swapped(added) if is_odd else added)
    _add(session + 8 * COUNT, 1)
    store_le64(session + 8 * LENGTH, length + payload)
    store_le64(session + 8 * NEXT, (load_be32(frame + at + 4) + payload) & _LOW)
    store_le64(session + 8 * LARGEST, max(load_le64(session + 8 * LARGEST), payload))
    store_le64(session + 8 * ACK, load_be32(frame + at + 8))
    store_le64(session + 8 * WINDOW, load_be16(frame + at + 14))
    if stamp_at != 0:
        store_le64(session + 8 * ECHO, load_be32(frame + stamp_at + 4))
    if rules & c.FLUSH_ON_PSH:
        store_le64(session + 8 * PUSHED, load_u8(frame + at + 13) & c.PSH)


@part
def _open(row: Any, at: int, stamp_at: int, session: int, rules: int) -> None:
    """A session of no bytes yet, for the flow of a frame; its TSval stays (a newer one would break PAWS)."""
    payload_at = c.payload_at(row, at)
    store_le64(session + 8 * FLOW, c.flow(row, at))
    store_le64(session + 8 * MACS, row.address)
    store_le64(session + 8 * HEAD, c.first_byte(row))
    store_le64(session + 8 * LENGTH, payload_at - ETHERNET_BYTES)
    store_le64(session + 8 * PAYLOAD_AT, payload_at)
    store_le64(session + 8 * STAMP_AT, stamp_at)
    if stamp_at != 0:
        store_le64(session + 8 * STAMP, load_be32(c.first_byte(row) + stamp_at))
    for column in (COUNT, LARGEST, PUSHED, CAPTURED):
        store_le64(session + 8 * column, 0)
    store_le64(session + 8 * SUM, 0 if rules & c.SUMS else -1)
    store_le64(session + 8 * IS_WHOLE, 1)
    store_le64(session + 8 * LAST, -1)


@part
def _emit(row: int, time_ns: int, lane: int, work: int) -> None:
    """Give out the row at an address, not before what its lane gave out."""
    target = load_le64(work + 8 * NEXT_OUT)
    copy(target, row, _ROW_BYTES)
    store_le64(target + _TIME_AT, max(time_ns, load_le64(lane + 8 * NOT_BEFORE)))
    store_le64(work + 8 * NEXT_OUT, target + _ROW_BYTES)


@part
def _close(session: int, head: int, time_ns: int, lane: int, work: int) -> None:
    """End a session: its first frame's row goes out, and what :func:`assemble` needs if there are more frames."""
    count = load_le64(session + 8 * COUNT)
    if count > 1:
        place = (load_le64(work + 8 * NEXT_OUT) - load_le64(work + 8 * OUT)) // _ROW_BYTES
        store_le64(session + 8 * PLACE, place)
        made = load_le64(work + 8 * NEXT_MADE)
        copy(made, session, 8 * SESSION_COLUMNS)
        store_le64(work + 8 * NEXT_MADE, made + 8 * SESSION_COLUMNS)
        _add(work + 8 * MERGED, count - 1)
        _add(work + 8 * ROOM, load_le64(session + 8 * PAYLOAD_AT) + load_le64(session + 8 * CAPTURED))
        _add(lane + 8 * FRAMES, count)
        _add(lane + 8 * BYTES, load_le64(session + 8 * LENGTH) + ETHERNET_BYTES)
        _add(lane + 8 * LARGE, 1)
    _emit(head, time_ns, lane, work)
    store_le64(session + 8 * COUNT, 0)
    _add(lane + 8 * OPEN, -1)
    _add(lane + 8 * GIVEN, 1)


@part
def _close_all(sessions: int, heads: int, time_ns: int, lane: int, work: int) -> None:
    """End all sessions of a lane; nothing leaves it before this time any more."""
    if load_le64(lane + 8 * OPEN) == 0:
        return
    for slot in range(load_le64(lane + 8 * SLOTS)):
        session = sessions + slot * 8 * SESSION_COLUMNS
        if load_le64(session + 8 * COUNT) != 0:
            _close(session, heads + slot * _ROW_BYTES, time_ns, lane, work)
    store_le64(lane + 8 * NOT_BEFORE, time_ns)


@part_in_line
def _candidate(row: Any, at: int, lane: int, work: int) -> int:
    """Where a candidate has its timestamp (0: it has none); -1: it is no candidate, or aggregation pauses."""
    rules = load_le64(lane + 8 * RULES)
    stamp_at = c.stamp_at(row, at, rules) if c.is_candidate(row, at, rules) else -1
    if stamp_at < 0:
        return -1
    if load_le64(lane + 8 * WAIT) > 0:
        _add(lane + 8 * WAIT, -1)
        _add(lane + 8 * PAUSED, 1)
        return -1
    if row.checksum != c.VERIFIED:
        if not c.is_right(row, at):
            _add(lane + 8 * WRONG, 1)
            return -1
        store_le64(work + 8 * STATE, c.VERIFIED)
    _add(lane + 8 * TAKEN, 1)
    return stamp_at


@part_in_line
def _append(row: Any, at: int, stamp_at: int, session: int, lane: int, pieces: int, work: int) -> bool:
    """Append a frame that follows; whether the session is over by that."""
    _add_piece(row, at, session, pieces, work)
    _grow(row, at, stamp_at, session, load_le64(lane + 8 * RULES))
    most = load_le64(lane + 8 * MAX_BYTES) - load_le64(lane + 8 * MTU)
    if load_le64(session + 8 * COUNT) >= load_le64(lane + 8 * MAX_FRAMES) or load_le64(session + 8 * LENGTH) > most:
        return True
    return load_le64(session + 8 * PUSHED) != 0  # type: ignore[no-any-return]


@part_in_line
def _take(row: Any, row_at: int, may_open: bool, lane: int, sessions: int, heads: int, pieces: int, work: int) -> bool:
    """Have a TCP frame open a session, go on with one or end one; whether it is held."""
    at, slots = c.transport_at(row), load_le64(lane + 8 * SLOTS)
    if at == 0:
        return False
    stamp_at = _candidate(row, at, lane, work) if may_open else -1
    slot = _find(row, at, sessions, slots)
    if slot >= 0:
        session = sessions + slot * 8 * SESSION_COLUMNS
        held = stamp_at >= 0 and _follows(row, at, stamp_at, session, lane)
        if not held or _append(row, at, stamp_at, session, lane, pieces, work):
            just_after = _later(row.time_ns, 1)
            _close(session, heads + slot * _ROW_BYTES, just_after, lane, work)
            store_le64(lane + 8 * NOT_BEFORE, just_after)
        _add(lane + 8 * GIVEN, stamp_at >= 0 and not held)
        return held
    if stamp_at < 0:
        return False
    rules = load_le64(lane + 8 * RULES)
    is_pushed = rules & c.FLUSH_ON_PSH != 0 and load_u8(c.first_byte(row) + at + 13) & c.PSH != 0
    slot = _free(sessions, slots) if not is_pushed else -1
    if slot < 0:
        _add(lane + 8 * GIVEN, 1)
        _add(lane + 8 * UNSERVED, not is_pushed)
        return False
    session = sessions + slot * 8 * SESSION_COLUMNS
    copy(heads + slot * _ROW_BYTES, row_at, _ROW_BYTES)
    store_u8(heads + slot * _ROW_BYTES + _CHECKSUM_AT, c.VERIFIED)
    _open(row, at, stamp_at, session, rules)
    _add_piece(row, at, session, pieces, work)
    _grow(row, at, stamp_at, session, rules)
    _add(lane + 8 * OPEN, 1)
    return True


@part_in_line
def _meet(row: Any, row_at: int, lane: int, sessions: int, heads: int, pieces: int, work: int) -> None:
    """A frame comes: polls end and begin, and it is held or goes out."""
    if _is_over(lane, row.time_ns):
        _close_all(sessions, heads, load_le64(lane + 8 * DEADLINE), lane, work)
    store_le64(work + 8 * STATE, row.checksum)
    may_open = c.may_open(row, load_le64(lane + 8 * RULES))
    if may_open:
        _begin_poll(lane, row.time_ns)
    held = False
    if may_open or (load_le64(lane + 8 * OPEN) > 0 and c.is_tcp(row)):
        held = _take(row, row_at, may_open, lane, sessions, heads, pieces, work)
    if not held:
        _emit(row_at, row.time_ns, lane, work)
        store_u8(load_le64(work + 8 * NEXT_OUT) - _ROW_BYTES + _CHECKSUM_AT, load_le64(work + 8 * STATE))
    if may_open and _count(lane):
        _close_all(sessions, heads, _later(row.time_ns, 1), lane, work)


# -- kernels


@compiled(types.boolean(ROWS))
def concern(rows: Any) -> bool:
    """Whether a row may be a candidate at some port, whatever that port is."""
    for i in range(len(rows)):  # noqa: SIM110  (kernels have no generators)
        if rows[i].checksum != c.MUST and c.has_data(rows[i]):
            return True
    return False


@compiled(types.int64(ROWS, _LANES, _STATE))
def pass_by(rows: Any, lanes: Any, state: Any) -> int:
    """How many rows stand before the first that may be a candidate, or that waits for others; no session is open.

    A kernel of its own: what has no TCP data needs no copy of its rows, and its lab need not compile the rest.
    """
    start = _start(state)
    for i in range(len(rows)):
        row = rows[i]
        lane = start + 8 * LANE_COLUMNS * int(lanes[i])
        if c.may_open(row, load_le64(lane + 8 * RULES)) or row.time_ns < load_le64(lane + 8 * NOT_BEFORE):
            return i
    return len(rows)


@compiled(
    types.UniTuple(types.int64, 5)(
        ROWS, _LANES, types.int64, types.int64, _STATE, _STATE, ROWS, _STATE, _VECTOR, ROWS, _STATE, _VECTOR
    )
)
def put_together(
    rows: Any,
    lanes: Any,
    first: int,
    until_ns: int,
    state: Any,
    sessions: Any,
    heads: Any,
    pieces: Any,
    listed: Any,
    out: Any,
    made: Any,
    handed: Any,
) -> tuple[int, int, int, int, int]:
    """Take rows from ``first`` on into sessions, or give them out, as those before ``first`` go out all.

    Gives how many of ``out`` and ``made`` are filled, how many frames vanished in others, how many bytes all that was
    made has, and whether all rows are in order and before ``until_ns``. ``listed`` names, behind their number, the
    lanes that have sessions: those whose poll ends before ``until_ns`` are closed although no frame comes. ``handed``
    has room for what is handed on; of that NEXT_PIECE is filled.
    """
    slots = len(sessions) // len(state)
    work = _start(handed)
    row_start, piece_start, made_start = _start(rows), _start(pieces), _start(made)
    lane_start, session_start, head_start = _start(state), _start(sessions), _start(heads)
    copy(_start(out), row_start, first * _ROW_BYTES)
    store_le64(work + 8 * OUT, _start(out))
    store_le64(work + 8 * NEXT_OUT, _start(out) + first * _ROW_BYTES)
    store_le64(work + 8 * NEXT_MADE, made_start)
    store_le64(work + 8 * MERGED, 0)
    store_le64(work + 8 * ROOM, 0)
    for i in range(first, len(rows)):
        row = rows[i]
        ahead = rows[min(i + _AHEAD, len(rows) - 1)].address
        prefetch(ahead)
        prefetch(ahead + _LINE_BYTES)
        number = int(lanes[i])
        lane = lane_start + number * 8 * LANE_COLUMNS
        mine = session_start + number * slots * 8 * SESSION_COLUMNS
        my_heads = head_start + number * slots * _ROW_BYTES
        _meet(row, row_start + i * _ROW_BYTES, lane, mine, my_heads, piece_start, work)
        if load_le64(lane + 8 * OPEN) > 0 and load_le64(lane + 8 * LISTED) == 0:
            store_le64(lane + 8 * LISTED, 1)
            listed[0] += 1
            listed[listed[0]] = number
    still = 0
    for i in range(1, listed[0] + 1):
        number = listed[i]
        lane = lane_start + number * 8 * LANE_COLUMNS
        if load_le64(lane + 8 * DEADLINE) <= until_ns:
            mine = session_start + number * slots * 8 * SESSION_COLUMNS
            _close_all(mine, head_start + number * slots * _ROW_BYTES, load_le64(lane + 8 * DEADLINE), lane, work)
        if load_le64(lane + 8 * OPEN) > 0:
            still += 1
            listed[still] = number
        else:
            store_le64(lane + 8 * LISTED, 0)
    listed[0] = still
    filled = (load_le64(work + 8 * NEXT_OUT) - load_le64(work + 8 * OUT)) // _ROW_BYTES
    count = (load_le64(work + 8 * NEXT_MADE) - made_start) // (8 * SESSION_COLUMNS)
    is_due = filled == 0 or out[filled - 1].time_ns < until_ns
    for i in range(1, filled):
        is_due = is_due and precedes(out[i - 1], out[i])
    return filled, count, load_le64(work + 8 * MERGED), load_le64(work + 8 * ROOM), 1 if is_due else 0


@compiled(types.int64(_STATE, _STATE, _STATE, _VECTOR, _STATE))
def keep_pieces(state: Any, sessions: Any, pieces: Any, listed: Any, kept: Any) -> int:
    """Copy the pieces of all open sessions to ``kept``, and number them anew; gives how many these are."""
    slots, count = len(sessions) // len(state), 0
    for i in range(1, listed[0] + 1):
        for session in range(listed[i] * slots, (listed[i] + 1) * slots):
            if sessions[session, COUNT] == 0:
                continue
            number = sessions[session, FIRST]
            sessions[session, FIRST] = count
            while number >= 0:
                for column in range(PIECE_COLUMNS):
                    kept[count, column] = pieces[number, column]
                number = pieces[number, PIECE_NEXT]
                kept[count, PIECE_NEXT] = count + 1 if number >= 0 else -1
                count += 1
            sessions[session, LAST] = count - 1
    return count


@compiled(types.void(_STATE, _STATE, ROWS, types.Array(types.uint8, 1, "C")))
def assemble(made: Any, pieces: Any, out: Any, memory: Any) -> None:
    """Write the bytes of frames that were put together to ``memory``, one behind the other, and have rows say so."""
    target, made_start, piece_start = _start(memory), _start(made), _start(pieces)
    for i in range(len(made)):
        session = made_start + i * 8 * SESSION_COLUMNS
        row = out[load_le64(session + 8 * PLACE)]
        copy(target, row.address, ADDRESS_BYTES)
        headers = load_le64(session + 8 * PAYLOAD_AT)
        copy(target + ADDRESS_BYTES, row.address + row.skip, headers - ADDRESS_BYTES)
        _write_headers(target, session)
        row.address = target
        row.skip = ADDRESS_BYTES
        row.length = headers + load_le64(session + 8 * CAPTURED)
        row.wire_length = ETHERNET_BYTES + load_le64(session + 8 * LENGTH)
        row.mss = load_le64(session + 8 * LARGEST)
        target += headers
        number = load_le64(session + 8 * FIRST)
        while number >= 0:
            piece = piece_start + number * 8 * PIECE_COLUMNS
            size = load_le64(piece + 8 * PIECE_BYTES)
            copy(target, load_le64(piece + 8 * PIECE_AT), size)
            target += size
            number = load_le64(piece + 8 * PIECE_NEXT)


@part
def _write_headers(frame: int, session: int) -> None:
    """Write what differs from the first frame's headers: lengths, sums, acknowledgment, window, TSecr, PSH."""
    network, length = frame + ETHERNET_BYTES, load_le64(session + 8 * LENGTH)
    is_ipv4 = load_le64(session + 8 * FLOW) & 1 == 1
    at = c.TCP_OVER_IPV4 if is_ipv4 else c.TCP_OVER_IPV6
    transport = frame + at
    if is_ipv4:
        store_be16(network + 2, length)
        store_be16(network + 10, 0)
        store_le16(network + 10, 0xFFFF - folded(header_total(network, c.IPV4_BYTES)))
    else:
        store_be16(network + 4, length - c.IPV6_BYTES)
    store_be32(transport + 8, load_le64(session + 8 * ACK))
    store_u8(transport + 13, load_u8(transport + 13) | load_le64(session + 8 * PUSHED))
    store_be16(transport + 14, load_le64(session + 8 * WINDOW))
    if load_le64(session + 8 * STAMP_AT) != 0:
        store_be32(frame + load_le64(session + 8 * STAMP_AT) + 4, load_le64(session + 8 * ECHO))
    payload_sum = load_le64(session + 8 * SUM)
    if payload_sum >= 0:
        store_be16(transport + 16, 0)
        header, size = load_le64(session + 8 * PAYLOAD_AT) - at, ETHERNET_BYTES + length - at
        headers_sum = c.pseudo_total(frame, at, size) + header_total(transport, header)
        store_le16(transport + 16, 0xFFFF - folded(headers_sum + payload_sum))
