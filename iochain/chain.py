"""Chains of stages: what a stage is, what it may answer, and how stages are put in order on a port.

What a stage may rely on, once for all: the frame is whole Ethernet (two addresses and a type), its outer 802.1Q tag is
carried beside the bytes, and ``port`` is the port whose chain the stage stands in; at the switch and in the chain of a
team it is the port that the frame came in by.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum, auto
from time import perf_counter_ns
from typing import Any, Final, Protocol, Self, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
from attrs import define, evolve, field, frozen

from iochain.batch import EMPTY, Batch, Instant, Rows
from iochain.frame import Frame, Mac
from iochain.kernels.rows import ETHERNET_BYTES


class Reason(Enum):
    """Why a frame, or a copy of it, went no further; in words for whoever debugs the network."""

    VLAN_MISMATCH = "the frame's VLAN is not the port's, or no port's at all"
    INVALID_TAG = "the tag names VLAN 4095, which is reserved"
    FORGED_TRANSMITS = "the source MAC is not the port's (forged transmits: reject)"
    MAC_CHANGES = "the guest receives at a MAC that the switch refused (MAC address changes: reject)"
    GUEST_BPDU = "a guest sent a spanning tree BPDU (Net.BlockGuestBPDU)"
    UNKNOWN_UNICAST = "from an uplink, to a MAC that is on no port of this VLAN"
    NO_PORT = "no port but the sender's own is there to take the frame"
    NO_UPLINK = "the port group has no uplink that is up"
    NO_TEAMING = "the teaming policy is none: nothing goes to uplinks"
    REVERSE_PATH = "came in by an uplink that the port's team does not use for it"
    REFLECTION = "a group frame of this switch's own port came back by an uplink"
    RECEIVE_FILTER = "the port does not receive this address"
    MTU_EXCEEDED = "longer than the MTU"
    SHAPER = "the shaper's queue is full"
    TRANSMIT_QUEUE = "the uplink's transmit queue is full"
    LINK_DOWN = "the uplink has no link"
    DISCONNECTED = "the vNIC is disconnected"
    BEACON = "a beacon of this host's own uplinks, taken by the switch"
    NO_LINK = "the port of the physical switch has no link"
    BLOCKED = "the spanning tree blocks the port"
    BPDU_GUARD = "a BPDU came to a port with BPDU Guard, which shuts it (err-disable)"
    ERR_DISABLED = "BPDU Guard has shut the port (err-disabled)"
    FOR_THE_SWITCH = "the physical switch keeps it for itself (01:80:c2:00:00:00 to 0f, PVST+)"
    CABLE_CUT = "the cable was cut"
    TSO_FAILED = "a large TCP packet that the kernel cannot segment"
    DEVICE_REFUSED = "a large TCP packet that the NIC's driver refuses"
    CHECKSUM = "its checksum had to be computed, and it is neither TCP nor UDP, or a fragment"
    CUT_HEADERS = "the capture's snap length cut headers that had to be rewritten"
    STAGE = "a stage of the user's own dropped it"

    @property
    def esxi(self) -> str:
        """The name of ESXi's own drop reason (vmkapi_net_pkt_capture.h of ESXi 6.7; the nearest, where none fits)."""
        return _ESXI_NAMES.get(self, "generic")

    def __repr__(self) -> str:
        return f"Reason.{self.name}"


_ESXI_NAMES: Final = {
    Reason.VLAN_MISMATCH: "VLAN mismatch",
    Reason.INVALID_TAG: "uplink RX drop",
    Reason.FORGED_TRANSMITS: "MAC forgery",
    Reason.SHAPER: "shaper",
    Reason.TRANSMIT_QUEUE: "enqueue failed",
    Reason.LINK_DOWN: "uplink device stopped",
    Reason.DISCONNECTED: "port blocked",
    Reason.MTU_EXCEEDED: "uplink TX drop",
    Reason.TSO_FAILED: "TSO failed",
    Reason.DEVICE_REFUSED: "uplink TX drop",
    Reason.CHECKSUM: "checksum failed",
}


@frozen
class Drop:
    """The frame ends here. ``rule`` says more where the reason alone does not (which rule, which uplink)."""

    reason: Reason
    rule: str = ""
    setting: "From | None" = field(default=None, eq=False)  # where it is not one of the stage's own


@frozen
class Consumed(Drop):
    """The frame ends here because the switch itself takes it, like a beacon: it is no drop in any result."""


@frozen
class Group:
    """Ports by a common name: those of a VLAN, or the promiscuous ones. Which they are, the switch's tables say."""

    kind: str
    vlan: int
    version: int = 0  # of its members, where these change: another version is another group

    def __str__(self) -> str:
        return f"{self.kind} ports of VLAN {self.vlan}" if self.vlan else f"{self.kind} ports without VLAN"


@frozen
class Ports:
    """Where copies of the frame go: ports by name, and the members of a group without ``except_``.

    Ports and group together are a set: a port that is in both gets one copy. ``tag`` is the TCI that all copies get
    (-1: none), where it is not the frame's.
    """

    ports: tuple[str, ...] = ()
    group: Group | None = None
    except_: str | None = None
    tag: int | None = None


Verdict: TypeAlias = Frame | Drop | Ports


@frozen
class From:
    """A setting's value and who set it: ``origin`` in words, ``key`` in the lab file, ``place`` as file and line."""

    value: Any
    origin: str
    key: str = ""
    place: str = ""

    @property
    def name(self) -> str:
        """The last part of the key; names with dots in them, like Net.MinEtherLen, are kept whole."""
        if self.key.endswith('"'):
            return self.key.split('"')[-2]
        return self.key if self.key.startswith("Net.") else self.key.rpartition(".")[2]

    def __str__(self) -> str:
        where = f" ({self.place})" if self.place else ""
        return f"{self.name + ' ' if self.name else ''}{plain(self.value)} from {self.origin}{where}"


def plain(value: Any) -> str:
    """A setting's value as the lab file writes it."""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(map(plain, value)) + "]"
    return str(value)


class PortKind(Enum):
    """What a port's client is (vmkapi_net_port.h)."""

    VNIC = auto()
    VMKERNEL = auto()
    UPLINK = auto()
    PHYSICAL = auto()  # no port of ESXi: one of a physical switch
    CAPTURE = auto()  # no port of ESXi: where frames of a capture wait to be told their port

    def __repr__(self) -> str:
        return f"PortKind.{self.name}"


@frozen
class Port:
    """A port of a virtual switch, as stages see it. ``number`` counts over the lab, ``id`` is ESXi's own."""

    name: str
    number: int
    id: int
    kind: PortKind
    host: str
    switch: str
    portgroup: str | None = None
    vlan: int | None = None  # of the port group; 4095: all
    initial_mac: Mac | None = None
    effective_mac: Mac | None = None  # what the guest programmed
    team: str | None = None  # the node of its port group's uplinks
    turn: int = 0  # how many ports of its switch connected before it
    mac_accepted: bool = True  # whether the switch honours it
    promiscuous: bool = False  # asked for and granted
    groups: frozenset[Mac] | None = None  # multicast addresses received; None: all
    uplink: bool = field(init=False, repr=False)
    settings: Mapping[str, From] = field(factory=dict, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "uplink", self.kind is PortKind.UPLINK)

    @property
    def port_number(self) -> int:
        """The number of the port on its switch, the low 24 bits of its id."""
        return self.id & 0xFFFFFF

    def is_one_of(self, names: tuple[str, ...]) -> bool:
        """Whether it is one of these ports. A switch that asks no more than that decides for many ports at once."""
        return self.name in names


HeaderStage: TypeAlias = Callable[[Frame, Port], Verdict]
"""``__call__(frame, port) -> Verdict``: pure; the same fields, settings and table entries give the same verdict."""


@frozen(eq=False)
class Passed:
    """What a batch stage gives back: rows that go on, rows that end, and how many it made or merged.

    ``dropped`` and ``drops`` belong together: ``why[i]`` is the index in ``drops`` of dropped row *i*.
    """

    batch: Batch
    dropped: Batch = EMPTY
    why: npt.NDArray[np.int32] = field(factory=lambda: np.zeros(0, np.int32))
    drops: tuple[Drop, ...] = ()
    split: int = 0  # rows more than came in, from frames cut in pieces
    merged: int = 0  # rows fewer, from frames put together


class Bank(Protocol):
    """The state of all like batch stages of a lab, in arrays by lane (one lane a port).

    A bank may have a function ``concerns(rows) -> bool``: whether any of these rows, at whatever port, might come out
    other than it went in. If it says no, and holds nothing, the rows are led past it. A bank that changes rows in their
    places may have ``run_among(batch, lanes, until) -> Passed``, with lanes by port number: rows at ports without one
    (-1) are handed on as they are. One that changes nothing of rows but their times may have ``only_delays = True``.
    """

    @property
    def held(self) -> int:
        """How many frames wait in it."""

    def run(self, batch: Batch, lanes: npt.NDArray[np.int32], until: Instant) -> Passed:
        """Take rows in the order of everything, each with its lane; give back what comes out before ``until``."""


@runtime_checkable
class BatchStage(Protocol):
    """A stage that works on bytes or on time. ``start`` makes the state of one port; the stage itself is frozen.

    A stage class may have a class method ``bank(stages) -> Bank`` that keeps the state of all its ports in arrays.
    """

    def start(self) -> Any:
        """The state of one port before the first frame."""

    def run(self, state: Any, batch: Batch, until: Instant) -> Passed:
        """Take rows in order and give back what comes out before ``until``; the rest waits in ``state``.

        A state with something in it says how much by ``len(state)``.
        """


class BatchError(Exception):
    """A batch stage broke its contract: what it did, the order number of a frame, and its lane in its bank."""

    def __init__(self, what: str, order: int, lane: int = 0) -> None:
        super().__init__(what)
        self.what, self.order, self.lane = what, order, lane


@frozen
class Element:
    """A stage at its place in a chain: its name there, its settings with their origins, and why it is there at all."""

    name: str
    stage: Any
    settings: Mapping[str, From] = field(factory=dict, eq=False, repr=False)
    because: From | None = field(default=None, eq=False, repr=False)

    @property
    def is_batch(self) -> bool:
        """Whether it is a batch stage. What ``isinstance`` finds out, which takes ten times as long for a protocol."""
        return hasattr(self.stage, "start") and hasattr(self.stage, "run")


@define
class Chain:
    """An ordered list of named stages between a port and its switch. Names are unique in a chain.

    >>> from iochain.chain import Chain
    >>> chain = Chain("output of web", [Element("vlan", print)])
    >>> def no_echo(frame: Frame, port: Port) -> Verdict: ...
    >>> chain.insert(no_echo, before="vlan")
    >>> str(chain)
    'output of web: no_echo → vlan'
    """

    name: str
    elements: list[Element] = field(factory=list)
    version: int = 0  # grows with each change

    def insert(
        self, stage: Any, *, before: str | None = None, after: str | None = None, name: str | None = None
    ) -> None:
        """Put a stage in, before or after another; at the end if neither is named.

        ``stage`` is a header stage, a function of (frame, port), a function of one Scapy packet, or a batch stage.
        """
        at = len(self.elements)
        if before is not None:
            at = self._index(before)
        elif after is not None:
            at = self._index(after) + 1
        element = as_element(stage, name)
        if element.name in self.names:
            raise ValueError(f"{self.name} has a stage {element.name!r} already; give another name")
        self.elements.insert(at, element)
        self.version += 1

    def remove(self, name: str) -> None:
        """Take a stage out."""
        del self.elements[self._index(name)]
        self.version += 1

    def replace(self, name: str, stage: Any) -> None:
        """Put another stage in the place of one, under the same name."""
        self.elements[self._index(name)] = evolve(as_element(stage, name))
        self.version += 1

    def move(self, name: str, *, before: str | None = None, after: str | None = None) -> None:
        """Put a stage at another place; at the end if neither neighbour is named."""
        element = self.elements[self._index(name)]
        target = before if before is not None else after
        if target is not None:
            self._index(target)
        if target == name:  # beside itself: it stays
            return
        self.elements.remove(element)
        at = len(self.elements) if target is None else self._index(target) + (before is None)
        self.elements.insert(at, element)
        self.version += 1

    @property
    def names(self) -> list[str]:
        """The names of the stages, in order."""
        return [element.name for element in self.elements]

    def __iter__(self) -> Iterator[Element]:
        return iter(self.elements)

    def __len__(self) -> int:
        return len(self.elements)

    def __getitem__(self, name: str) -> Element:
        return self.elements[self._index(name)]

    def __str__(self) -> str:
        return f"{self.name}: {' → '.join(self.names) or '(empty)'}"

    def _index(self, name: str) -> int:
        if name not in self.names:
            raise ValueError(f"{self.name} has no stage {name!r}; it has {', '.join(self.names) or 'none'}")
        return self.names.index(name)


def as_element(stage: Any, name: str | None = None) -> Element:
    """A stage in the form that chains keep; refuses what is none, saying what is allowed."""
    if isinstance(stage, type):
        raise TypeError(f"{stage.__name__} is a class and no stage; make one of it: {stage.__name__}(…)")
    name = name or name_of(stage)
    if isinstance(stage, BatchStage):
        return Element(name, stage)
    if not callable(stage):
        raise TypeError(f"{stage!r} is no stage: it takes no (frame, port), and has no start() and run()")
    return Element(name, OnPackets(stage) if _parameters(stage) == 1 else stage)


def name_of(stage: Any) -> str:
    """The name that a stage has in a chain if none is given: its function's, or its class's in lower case words."""
    if isinstance(stage, OnPackets):
        return name_of(stage.function)
    given = getattr(stage, "__name__", None)
    if isinstance(given, str):
        return given
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", type(stage).__name__).lower()


def _parameters(stage: Callable[..., Any]) -> int:
    """How many arguments a callable has to be given; 2 where it does not tell."""
    try:
        parameters = inspect.signature(stage).parameters.values()
    except (TypeError, ValueError):
        return 2
    return sum(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


@frozen
class OnPackets:
    """A function of one Scapy packet as a stage: it returns the packet, changed or not, or None to drop it.

    As all bytes may matter to it, it runs for each frame that passes.
    """

    function: Callable[[Any], Any]

    def start(self) -> list[Any]:
        """Nothing is kept between frames."""
        return []

    def run(self, state: Any, batch: Batch, until: Instant) -> Passed:
        """Call the function for each frame; frames that it changed get bytes of their own."""
        from scapy.layers.l2 import Ether
        from scapy.packet import Packet

        from iochain.batch import batch_of, joined

        kept: list[Batch] = []
        dropped = np.zeros(len(batch), bool)
        for i in range(len(batch)):
            before = batch.frame_bytes(i)
            try:
                packet = self.function(Ether(before))
                is_packet = isinstance(packet, (Packet, bytes, bytearray))
                after = bytes(packet) if is_packet else before
            except Exception as error:
                raise BatchError(_raised(error), int(batch.rows["order"][i])) from error
            if packet is None or packet is False:
                dropped[i] = True
                continue
            if not is_packet and packet is not True:
                raise BatchError(f"returned {packet!r}, which is no packet", int(batch.rows["order"][i]))
            if len(after) < ETHERNET_BYTES:
                what = f"returned {len(after)} bytes, which are no Ethernet frame"
                raise BatchError(what, int(batch.rows["order"][i]))
            kept.append(batch[i : i + 1] if after == before else rewritten(batch, i, batch_of([(after, 0)])))
        why = np.zeros(int(dropped.sum()), np.int32)
        return Passed(joined(kept), batch[dropped], why, (Drop(Reason.STAGE, name_of(self)),))


def rewritten(batch: Batch, index: int, own: Batch) -> Batch:
    """Row ``index`` of a batch with the bytes of the one row of ``own``."""
    row: Rows = batch.rows[index : index + 1].copy()
    grown = int(own.rows["length"][0]) - int(row["length"][0])
    for name in ("address", "skip", "tag", "length"):
        row[name] = own.rows[name]
    row["wire_length"] += grown
    row["pad"] = 0
    return Batch(row, batch.pins + own.pins)


@define
class Alone:
    """The bank of batch stages that have none of their own: one state a port, and only ports with rows are run."""

    stages: Sequence[BatchStage]
    states: list[Any] = field(init=False)
    frames: list[int] = field(init=False)  # that each stage had so far
    spent_ns: list[int] = field(init=False)  # time on the clock that it took for them

    def __attrs_post_init__(self) -> None:
        self.states = [stage.start() for stage in self.stages]
        self.frames, self.spent_ns = [0] * len(self.stages), [0] * len(self.stages)

    @classmethod
    def of(cls, stages: Sequence[BatchStage]) -> "Bank | Self":
        """The bank of these stages: of their class's own making, or one that runs each alone."""
        make = getattr(type(stages[0]), "bank", None)
        return make(stages) if make else cls(stages)

    @property
    def held(self) -> int:
        """How many frames wait in all states that can tell."""
        return sum(len(state) for state in self.states if hasattr(state, "__len__"))

    def run(self, batch: Batch, lanes: npt.NDArray[np.int32], until: Instant) -> Passed:
        """Run each stage that has rows, or that holds some."""
        from iochain.batch import joined

        waiting = [lane for lane, state in enumerate(self.states) if hasattr(state, "__len__") and len(state)]
        parts = [
            self._run(lane, batch[lanes == lane], until) for lane in sorted({*np.unique(lanes).tolist(), *waiting})
        ]
        drops: list[Drop] = []
        why: list[npt.NDArray[np.int32]] = []
        for part in parts:
            why.append(part.why + len(drops))
            drops.extend(part.drops)
        return Passed(
            joined(part.batch for part in parts),
            joined(part.dropped for part in parts),
            np.concatenate(why) if why else np.zeros(0, np.int32),
            tuple(drops),
            sum(part.split for part in parts),
            sum(part.merged for part in parts),
        )

    def _run(self, lane: int, batch: Batch, until: Instant) -> Passed:
        first = int(batch.rows["order"][0]) if len(batch) else 0
        started = perf_counter_ns()
        try:
            passed = self.stages[lane].run(self.states[lane], batch, until)
        except BatchError as fault:
            raise BatchError(fault.what, fault.order, lane) from fault.__cause__
        except Exception as error:
            raise BatchError(_raised(error), first, lane) from error
        if not isinstance(passed, Passed):
            raise BatchError(f"returned {passed!r}, which is no Passed", first, lane)
        self.frames[lane] += len(batch)
        self.spent_ns[lane] += perf_counter_ns() - started
        return passed


def _raised(error: Exception) -> str:
    return f"raised {type(error).__name__}: {error}"
