"""What clients ask of their adapters, noted in frames before these set out: segmentation with its size, checksums.

Captures do not say it; :mod:`iochain.uplink.recognition` finds it in the frames. Here it is put together with what the
lab says of each vNIC. It is done once for each frame, in the order of everything, and outside of windows, which may be
run more than once.
"""

from collections.abc import Iterator
from enum import Enum

import numpy as np
import numpy.typing as npt
from attrs import define, field

from iochain.batch import Rows
from iochain.chain import PortKind
from iochain.topology.offloads import asks_for_checksums, asks_for_tso
from iochain.topology.spec import OffloadProfile, SegmentSize, Vmkernel, Vnic
from iochain.topology.wiring import SwitchWiring, Wiring
from iochain.uplink.checksum import Checksum
from iochain.uplink.recognition import Recognition

FRAMES, BYTES = 0, 1


class Found(Enum):
    """What frames ask for: nothing, only checksums, or segmentation, which large packets do."""

    NOTHING = 0
    CHECKSUMS = 1
    LARGE = 2


@define
class Requests:
    """Marks frames that enter, and counts large ones by port (pktsTsoTxOK and bytesTsoTxOK of clientStats)."""

    wiring: Wiring
    from_flows: bool
    recognition: Recognition = field(init=False)
    mss: npt.NDArray[np.int32] = field(init=False)  # by port: said by the lab, or 0
    leaves_sums: npt.NDArray[np.bool_] = field(init=False)  # by port
    large: npt.NDArray[np.int64] = field(init=False)  # by port: frames and bytes of large packets
    is_uniform: bool = field(init=False)  # it is all one at which port a frame enters
    mtu: int = field(init=False)  # of port 0, and of all if they are uniform; 0: no large packets

    @classmethod
    def of(cls, wiring: Wiring) -> "Requests | None":
        """Nothing seen yet; None for a lab without offloads."""
        options = wiring.spec.options
        if options.offloads is OffloadProfile.NONE:
            return None
        return cls(wiring, options.mss is SegmentSize.FLOW)

    def __attrs_post_init__(self) -> None:
        count = len(self.wiring.ports)
        self.recognition = Recognition.of(np.zeros(count, np.int32), self.from_flows)
        self.large = np.zeros((count, 2), np.int64)
        self.look_again()

    def look_again(self) -> None:
        """Take from the wiring what each port asks for; ports and adapters may have changed."""
        ports = self.wiring.ports
        adapters = _adapters(self.wiring)
        mtus = np.zeros(len(ports), np.int32)
        self.mss, self.leaves_sums = np.zeros(len(ports), np.int32), np.ones(len(ports), np.bool_)
        for port in ports:
            if port.kind is PortKind.UPLINK:
                mtus[port.number] = self.wiring.spec.hosts[port.host].vswitches[port.switch].mtu
            elif port.name in adapters:
                adapter, mtu = adapters[port.name]
                mtus[port.number] = mtu if asks_for_tso(adapter) else 0
                self.mss[port.number] = getattr(adapter, "mss", None) or 0
                self.leaves_sums[port.number] = asks_for_checksums(adapter)
        self.recognition.mtus = mtus
        self.is_uniform = bool((mtus == mtus[:1]).all() and not self.mss.any() and self.leaves_sums.all())
        self.mtu = int(mtus[0]) if len(mtus) else 0
        more = len(ports) - len(self.large)
        self.large = np.concatenate([self.large, np.zeros((more, 2), np.int64)])

    @property
    def is_current(self) -> bool:
        """Whether no port has come since the wiring was looked at."""
        return len(self.wiring.ports) == len(self.mss)

    def mark(self, rows: Rows) -> Found:
        """Note in rows, each at its port, what they ask for; gives the most that one of them does."""
        if not self.is_current:
            self.look_again()
        if not len(rows) or not len(self.mss) or self.recognition.mark(rows) == 0:
            return Found.NOTHING
        is_large = rows["mss"] > 0
        said = self.mss[rows["port"]]
        rows["mss"] = np.where(is_large & (said > 0), said, rows["mss"])
        kept = (rows["checksum"] == Checksum.MUST) & ~self.leaves_sums[rows["port"]]
        rows["checksum"][kept] = Checksum.AS_IT_IS
        return Found.LARGE if is_large.any() else Found.CHECKSUMS

    def count(self, rows: Rows) -> None:
        """Count large packets at their ports."""
        rows = rows[rows["mss"] > 0]
        np.add.at(self.large[:, FRAMES], rows["port"], 1)
        np.add.at(self.large[:, BYTES], rows["port"], rows["wire_length"])


def _adapters(wiring: Wiring) -> dict[str, tuple[Vnic | Vmkernel, int]]:
    """The adapters that are plugged in, each with its MTU, by the name of the port."""
    return dict(_plugged(wiring))


def _plugged(wiring: Wiring) -> Iterator[tuple[str, tuple[Vnic | Vmkernel, int]]]:
    for node in wiring.switches():
        if not isinstance(wiring.graph.nodes[node].get("wiring"), SwitchWiring):  # a physical switch
            continue
        for name, plugged in wiring.switch(node).plugged.items():
            own = getattr(plugged.adapter, "mtu", None)
            yield name, (plugged.adapter, plugged.team.policy.mtu.value if own is None else own)
