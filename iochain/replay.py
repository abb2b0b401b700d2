"""Replay: captures through a lab, to counters, a table of drops, and a capture of all delivered copies and drops."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt
from attrs import define, field, frozen
from attrs.converters import optional

from iochain.batch import EMPTY, FOREVER, Batch, Instant, Waiting, joined, source_and_serial
from iochain.capture import (
    CaptureError,
    CaptureReader,
    OutInterface,
    PcapDirectory,
    PcapngWriter,
    Source,
    read_captures,
)
from iochain.capture.folder import file_names
from iochain.capture.reader import PIECE_BYTES
from iochain.capture.writer import ByPort
from iochain.chain import From, Port, PortKind, Reason
from iochain.changes import smallest_change
from iochain.engine.counters import Counters, DropCount
from iochain.engine.network import Engine, Fates, Network, default_engine
from iochain.engine.offload_counts import OffloadCount, offload_counts
from iochain.engine.path import Dropped
from iochain.engine.summary import EngineSummary
from iochain.engine.walk import Listener
from iochain.experiment.links import Failover
from iochain.experiment.running import Experiment
from iochain.experiment.timeline import Timeline, timeline_of
from iochain.frame import Mac
from iochain.hints import hints
from iochain.kernels.order import order_of_rows
from iochain.topology.entry import CaptureNames, entry_chain
from iochain.topology.spec import CapturedAt
from iochain.topology.wiring import Wiring
from iochain.uplink.wire import Wires

if TYPE_CHECKING:
    from scapy.packet import Packet

CapturePoint = Literal["entered", "delivered", "dropped"]
DEFAULT_POINTS: Final[tuple[CapturePoint, ...]] = ("delivered", "dropped")
_UNKNOWN_DIRECTION, _INBOUND, _OUTBOUND = 0, 1, 2
_NO_COMMENT = -1


@frozen
class Options:
    """How a replay is run. Times are nanoseconds since 1970; ``output`` is a pcapng file, ``-``, or a folder.

    ``timeline`` says what happens to the lab meanwhile: a YAML file, or pairs of a time and an action.
    """

    at: str | None = None
    captured_at: CapturedAt | None = None
    start_ns: int | None = None
    stop_ns: int | None = None
    limit: int | None = None
    output: str | None = field(default=None, converter=optional(fspath))
    points: tuple[CapturePoint, ...] = DEFAULT_POINTS
    piece_bytes: int = PIECE_BYTES
    timeline: Timeline | None = field(default=None, converter=optional(timeline_of))
    engine: Engine = field(factory=default_engine, converter=Engine)


@frozen
class Fate:
    """What became of one copy of a frame: delivered at ``port``, or dropped there."""

    port: str
    time_ns: int
    source: int  # number of the capture it is from, from 0
    frame: int  # number of the frame in it, from 1
    data: bytes = field(repr=False)
    dropped: Dropped | None = None

    @property
    def reason(self) -> Reason | None:
        """Why it was dropped; None if it was delivered."""
        return None if self.dropped is None else self.dropped.drop.reason

    @property
    def setting(self) -> From | None:
        """The setting that decided a drop, if one did."""
        return None if self.dropped is None else self.dropped.setting

    @property
    def scapy(self) -> "Packet":
        """The frame as a Scapy packet."""
        from scapy.layers.l2 import Ether

        return Ether(self.data)


@define
class Replay:
    """The result of a replay: counters, drops, where frames entered; and all fates, by running it once more."""

    wiring: Wiring
    options: Options
    captures: tuple[str, ...]
    counters: Counters
    entries: Mapping[tuple[str, str], int]  # frames by (rule, port)
    sources: Sequence[Source]
    super_frames: Mapping[str, int]  # by uplink: large packets that left whole
    offloads: Sequence[OffloadCount]
    first_ns: int | None
    last_ns: int | None
    engine: EngineSummary
    written: int = 0  # frames in the output
    mac_moves: Mapping[tuple[str, Mac], int] = field(factory=dict)  # by physical switch and MAC
    failovers: Sequence[Failover] = ()  # when teams came to use other uplinks

    @property
    def drops(self) -> list[DropCount]:
        """All drops, most frequent first."""
        return sorted(self.counters.drops.values(), key=lambda drop: (-drop.frames, drop.first_order))

    @property
    def hints(self) -> list[str]:
        """Advice, where many drops of one kind look like a wrong rule of entry."""
        return hints(self.wiring, self.options.captured_at, self.drops, self.entries)

    def change(self, drop: DropCount) -> str | None:
        """The setting (``KEY=VALUE``, as of ``--set``) that lets such frames pass the stage; None if no one does."""
        return smallest_change(self.wiring, drop.dropped)

    @property
    def damaged(self) -> bool:
        """Whether a capture could not be read to its end because it is damaged."""
        return _damaged(self.sources)

    def fates(self) -> Iterator[Fate]:
        """Every delivered copy and every drop, in order. Replays again: the same input gives the same fates."""
        runner = _Runner(self.wiring, self.captures, self.options)
        for fates in runner.windows():
            yield from fates_of(self.wiring, fates)

    def deliveries(self, port: str | None = None) -> Iterator[Fate]:
        """Every delivered copy, or those at one port. LookupError if the port does not exist."""
        name = None if port is None else self.wiring.port(port).name
        return (fate for fate in self.fates() if fate.dropped is None and name in (None, fate.port))

    def dropped(self) -> Iterator[Fate]:
        """Every drop."""
        return (fate for fate in self.fates() if fate.dropped is not None)


Progress = Callable[[int, int | None, int], None]
"""Called after each window with the bytes read, the bytes in all (None: unknown), and the frames so far."""


def replay(
    wiring: Wiring,
    captures: Iterable["str | PathLike[str]"],
    options: Options | None = None,
    progress: Progress | None = None,
) -> Replay:
    """Run captures, merged by time, through a lab, until nothing is held any more.

    CaptureError if a capture cannot be opened or the output not be written, LookupError if ``at`` is no port.
    """
    chosen = options or Options()
    names = tuple(fspath(capture) for capture in captures)
    runner = _Runner(wiring, names, chosen)
    first = last = None
    with open_output(wiring, chosen, names) as output:
        for fates in runner.windows(output, progress):
            for times_ns in _ends(fates):
                first = times_ns[0] if first is None else min(first, times_ns[0])
                last = max(last or 0, times_ns[1])
            del fates
    network = runner.network
    return Replay(
        wiring,
        chosen,
        names,
        network.counters,
        {(rule, _port_name(wiring, number)): count for (rule, number), count in network.entries.items()},
        runner.sources,
        _super_frames(network),
        offload_counts(network),
        first,
        last,
        runner.summary,
        0 if output is None else output.frames,
        runner.mac_moves,
        runner.failovers,
    )


def _ends(fates: Fates) -> list[tuple[int, int]]:
    """Times of the first and last delivery, and of the first and last drop."""
    columns = [batch.column("time_ns") for batch in (fates.delivered, fates.dropped) if len(batch)]
    return [(times.item(0), times.item(-1)) for times in columns]


def trace(wiring: Wiring, capture: str, frame: int, listener: Listener, options: Options) -> list[Fate]:
    """Replay a capture up to one frame and to its end in the lab; its fates, while ``listener`` hears its steps."""
    runner = _Runner(wiring, (capture,), options)
    runner.network.listen(frame, listener)
    fates: list[Fate] = []
    for window in runner.windows(last_serial=frame):
        fates.extend(fate for fate in fates_of(wiring, window) if (fate.source, fate.frame) == (0, frame))
    return fates


class Windows:
    """The windows of a replay one by one, as columns; what is known of the whole stands once all were run."""

    def __init__(self, wiring: Wiring, captures: Sequence[str], options: Options) -> None:
        self._runner = _Runner(wiring, tuple(captures), options)

    def __iter__(self) -> Iterator[Fates]:
        """Run window after window. CaptureError if a capture cannot be opened."""
        return self._runner.windows()

    @property
    def frames(self) -> int:
        """How many frames entered."""
        return self._runner.network.counters.entered

    @property
    def damaged(self) -> bool:
        """Whether a capture could not be read to its end because it is damaged."""
        return _damaged(self._runner.sources)


@define
class _Runner:
    """One run of captures through a fresh network."""

    wiring: Wiring
    captures: tuple[str, ...]
    options: Options
    names: CaptureNames = field(factory=CaptureNames)
    network: Network = field(init=False)
    experiment: Experiment | None = None  # where the lab has cables, or things happen to it
    summary: EngineSummary = field(init=False)  # once all windows were run
    sources: Sequence[Source] = ()
    mac_moves: Mapping[tuple[str, Mac], int] = field(factory=dict)
    failovers: Sequence[Failover] = ()
    _known_interfaces: int = 0

    def __attrs_post_init__(self) -> None:
        changes = bool(self.wiring.cables) or self.options.timeline is not None
        wiring = copy.deepcopy(self.wiring) if changes else self.wiring  # events change its tables
        chain = entry_chain(wiring, self.names, self.options.at, self.options.captured_at)
        if changes:
            self.experiment = Experiment.of(wiring, chain, self.options.engine)
            self.network = self.experiment.network
        else:
            self.network = Network.of(wiring, chain, self.options.engine)
        for number, name in enumerate(self.captures):
            self.names.files.set(number, name)

    def windows(
        self, output: "_Output | None" = None, progress: Progress | None = None, last_serial: int | None = None
    ) -> Iterator[Fates]:
        """Run window after window."""
        chosen = self.options
        with read_captures(
            self.captures,
            piece_bytes=chosen.piece_bytes,
            start_ns=chosen.start_ns,
            stop_ns=chosen.stop_ns,
            limit=chosen.limit,
        ) as reader:
            self.sources = reader.sources
            try:
                yield from self._windows(reader, output, progress, last_serial)
            finally:
                self.summary = EngineSummary.of(self.network, chosen.engine.value)
                self.mac_moves = self.network.wiring.fabric.mac_moves()
                if self.experiment is not None and self.experiment.live.hosts is not None:
                    self.failovers = tuple(self.experiment.live.hosts.links.decided)
                self.network.restore()

    def _windows(
        self, reader: CaptureReader, output: "_Output | None", progress: Progress | None, last_serial: int | None
    ) -> Iterator[Fates]:
        timed = None if self.experiment is None else _Timed(self.experiment, self.options.timeline)
        for batch, until in reader:
            if self._known_interfaces < len(reader.interfaces):
                self._name_interfaces(reader)
            wanted, end = (batch, until) if last_serial is None else _up_to(batch, until, last_serial)
            if timed is not None:
                timed.meet(wanted)
            is_written = output is not None and output.wants_entered
            if output is not None and is_written:
                wanted = self.network.enter(wanted)
                output.entered(wanted)
            del batch  # what holds a window's memory keeps the next one from using it again
            for fates in self._run(wanted, end, not is_written, timed):
                if output is not None:
                    output.write(fates)
                yield fates
                del fates
            del wanted
            if progress is not None:
                progress(reader.bytes_read, reader.bytes_total, self.network.counters.entered)
            if end == FOREVER:
                break

    def _run(self, batch: Batch, until: Instant, entering: bool, timed: "_Timed | None") -> Iterator[Fates]:
        """The windows of the next frames, which are ``entering`` unless they have their ports already."""
        if entering and timed is None:
            return self.network.captured(batch, until)
        batch, entering = self.network.recognise(batch, entering)
        windows = self.network.windows if timed is None else timed.windows
        return windows(batch, until, entering)

    def _name_interfaces(self, reader: CaptureReader) -> None:
        for number in range(self._known_interfaces, len(reader.interfaces)):
            self.names.interfaces.set(number, reader.interfaces[number].name)
        self._known_interfaces = len(reader.interfaces)


@define
class _Timed:
    """The time of an experiment in a replay: it begins with the first frame, and ends with the last or what happens
    last of the timeline."""

    experiment: Experiment
    timeline: Timeline | None
    last_ns: int | None = None

    def meet(self, batch: Batch) -> None:
        """The next frames of the captures. LabError if the timeline cannot be."""
        times = batch.column("time_ns")
        if self.last_ns is None:
            first_ns = int(times[0]) if len(batch) else 0
            self.experiment.start(first_ns)
            self.last_ns = first_ns if self.timeline is None else self.timeline.put_on(self.experiment.live, first_ns)
        if len(batch):
            self.last_ns = max(self.last_ns, int(times[-1]))

    def windows(self, batch: Batch, until: Instant, entering: bool) -> Iterator[Fates]:
        """The windows of these frames."""
        last_ns = self.last_ns if until == FOREVER else None
        yield from self.experiment.windows(batch, until, entering, last_ns)
        self.experiment.network.report.ended("end of piece")


def _up_to(batch: Batch, until: Instant, last_serial: int) -> tuple[Batch, Instant]:
    """The frames up to a serial; FOREVER as the window's end once it is reached."""
    if not len(batch):
        return batch, until
    serials = batch.column("order") & ((1 << 40) - 1)
    if int(serials[-1]) < last_serial:
        return batch, until
    return batch[serials <= last_serial], FOREVER


def fates_of(wiring: Wiring, fates: Fates) -> Iterator[Fate]:
    """The fates of a window one by one, in order."""
    both = joined((fates.delivered, fates.dropped))
    whys = np.concatenate([np.full(len(fates.delivered), -1, np.int32), fates.why])
    for index in order_of_rows(both.rows).tolist() if len(both) else []:
        row = both.rows[index]
        source, serial = source_and_serial(int(row["order"]))
        dropped = fates.whys[whys[index]] if whys[index] >= 0 else None
        name = _port_name(wiring, int(row["port"]))
        yield Fate(name, int(row["time_ns"]), source, serial, both.frame_bytes(index), dropped)


def _damaged(sources: Sequence[Source]) -> bool:
    from iochain.capture import Damage

    return any(isinstance(source.ending, Damage) for source in sources)


def _port_name(wiring: Wiring, number: int) -> str:
    return wiring.ports[number].name if number >= 0 else "nowhere"


def _super_frames(network: Network) -> dict[str, int]:
    """How many TCP frames longer than the MTU left each uplink whole: without offloads, or before the NIC."""
    found: dict[str, int] = {}
    for depth in network.output.depots:
        for depot in depth:
            if isinstance(depot.bank, Wires):
                for port, count in zip(depot.ports, depot.bank.super_frames.tolist(), strict=True):
                    if count and port.uplink:
                        found[port.name] = found.get(port.name, 0) + count
    return found


# -- output


@define
class _Output:
    """Writes what a window brought: an interface a port, a block a delivered copy or drop."""

    wiring: Wiring
    writer: PcapngWriter | PcapDirectory
    points: tuple[CapturePoint, ...]
    _entered: Waiting = field(factory=Waiting)
    _comments: dict[int, int] = field(factory=dict)
    _out_of: npt.NDArray[np.uint8] = field(init=False)
    _into: npt.NDArray[np.uint8] = field(init=False)
    _leaving: ByPort = field(init=False)

    def __attrs_post_init__(self) -> None:
        uplink = np.array([port.uplink for port in self.wiring.ports] + [True], bool)
        self._out_of = np.where(uplink, _OUTBOUND, _INBOUND).astype(np.uint8)  # from the switch to the client
        self._into = np.where(uplink, _INBOUND, _OUTBOUND).astype(np.uint8)
        self._leaving = ByPort(np.arange(len(self.wiring.ports)), self._out_of[:-1])

    @property
    def frames(self) -> int:
        """How many frames were written."""
        return self.writer.frames

    def __enter__(self) -> "_Output":
        return self

    def __exit__(self, *error: object) -> None:
        self.writer.close()

    @property
    def wants_entered(self) -> bool:
        """Whether frames are written as they enter."""
        return "entered" in self.points

    def entered(self, batch: Batch) -> None:
        """Remember what enters in the next window."""
        self._entered = Waiting(batch.copy())  # the rows go on

    def write(self, fates: Fates) -> None:
        """Write a window, in the order of everything."""
        entered = self._entered.release(EMPTY, fates.until) if "entered" in self.points else EMPTY
        delivered = fates.delivered if "delivered" in self.points else EMPTY
        dropped = fates.dropped if "dropped" in self.points else EMPTY
        if not len(entered) and not len(dropped):
            if len(delivered):
                self.writer.write_by_port(delivered, self._leaving)
            return
        parts = [self._part(entered, self._into), self._part(delivered, self._out_of)]
        if len(dropped):
            parts.append(self._dropped(fates))
        parts = [part for part in parts if len(part[0])]
        batch, direction, comment = parts[0]
        if len(parts) > 1:
            batch = joined(part[0] for part in parts)
            order = order_of_rows(batch.rows)
            batch = batch.taken(order)
            direction = np.concatenate([part[1] for part in parts])[order]
            comment = np.concatenate([part[2] for part in parts])[order]
        interface = batch.column("port").copy()
        interface[interface < 0] = len(self.wiring.ports)
        self.writer.write(batch, interface, direction, comment)

    def _part(
        self, batch: Batch, directions: npt.NDArray[np.uint8]
    ) -> tuple[Batch, npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
        ports = np.ascontiguousarray(batch.column("port"))  # picking by a column of rows takes twice as long
        return batch, directions.take(ports), np.full(len(batch), _NO_COMMENT, np.int32)

    def _dropped(self, fates: Fates) -> tuple[Batch, npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
        incoming = np.array([dropped.incoming for dropped in fates.whys] or [True], bool)[fates.why]
        ports = fates.dropped.column("port")
        direction = np.where(incoming, self._into[ports], self._out_of[ports])
        for number in range(len(self._comments), len(fates.whys)):
            self._comments[number] = self._comment(comment_of(fates.whys[number]))
        numbers = np.array([self._comments[n] for n in range(len(fates.whys))] or [0], np.int32)
        return fates.dropped, direction, numbers[fates.why]

    def _comment(self, text: str) -> int:
        """The number of a comment; pcaps have none."""
        return self.writer.comment(text) if isinstance(self.writer, PcapngWriter) else _NO_COMMENT


def comment_of(dropped: Dropped) -> str:
    """What stands with a dropped frame in the output: stage, reason, setting."""
    setting = f"; {dropped.setting}" if dropped.setting else ""
    return f"dropped, {dropped.where}, {dropped}{setting}"


def open_output(wiring: Wiring, options: Options, captures: Sequence[str] = ()) -> Any:
    """Where the frames of a replay go: a pcapng file, standard output, a folder of pcaps, or nowhere.

    CaptureError if it cannot be written, or one of the captures would be overwritten.
    """
    if options.output is None:
        return nullcontext()
    interfaces = [OutInterface(port.name, _description(port)) for port in wiring.ports]
    if not any(port.uplink for port in wiring.ports):
        interfaces.append(OutInterface("nowhere", "frames that could enter the lab nowhere"))
    is_folder = options.output.endswith(("/", "\\")) or Path(options.output).is_dir()
    files = file_names([one.name for one in interfaces]) if is_folder else [""]
    read = set(filter(None, map(_file_of, captures)))
    for path in (Path(options.output) / file for file in files):
        if _file_of(path) in read:
            raise CaptureError(f"{path}: would overwrite a capture that is read")
    kind: Any = PcapDirectory if is_folder else PcapngWriter
    return _Output(wiring, kind(options.output, interfaces), options.points)


def _file_of(path: str | Path) -> tuple[int, int] | None:
    """Which file a path leads to, by device and number; None if it leads to none."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _description(port: Port) -> str:
    if port.kind is PortKind.PHYSICAL:
        return f"port of physical switch {port.switch}"
    what = {PortKind.VNIC: "vNIC", PortKind.VMKERNEL: "vmkernel adapter", PortKind.UPLINK: "uplink"}[port.kind]
    group = f", port group {port.portgroup}" if port.portgroup else ""
    return f"{what} on {port.switch} of {port.host}, port {port.id}{group}"
