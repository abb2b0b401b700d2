"""What offloads did in a run, port by port: who segmented, summed and put together, and how ESXi counts it.

Names are those of vsish: clientStats of a port (pktsSwTsoTx …) and rxSummary of a vNIC (LRO pkts rx ok). Checksums have
none there. A large packet counts as one at the port of the client that handed it over, and as one at the uplink that
cut it; its segments are counted in the uplink's own statistics.
"""

from collections.abc import Iterator
from typing import Any

from attrs import frozen

from iochain.chain import Element, Port
from iochain.engine.network import Network
from iochain.engine.segments import Depot, Half
from iochain.uplink.aggregation import Aggregated, Aggregators
from iochain.uplink.checksum import ChecksumFill, Filled, Fills
from iochain.uplink.headers import By
from iochain.uplink.segmentation import LargeSplit, Segmentation, Segmented, Segmenters, Splitters


@frozen
class OffloadCount:
    """One kind of work at one port: ``frames`` of ``bytes`` became ``made`` others, ``dropped`` could not.

    ``counter`` is the name of ESXi's counter of ``frames``, empty where it has none.
    """

    port: str
    what: str
    by: str
    counter: str
    frames: int
    bytes: int
    made: int
    dropped: int = 0


def offload_counts(network: Network) -> list[OffloadCount]:
    """All work that was done, in the order of ports; nothing is said of what had nothing to do."""
    found = [*_asked(network), *_done(network.input), *_done(network.output)]
    numbers = network.wiring.numbers
    return sorted((one for one in found if one.frames or one.dropped), key=lambda one: numbers[one.port])


def _asked(network: Network) -> Iterator[OffloadCount]:
    """Large packets that clients handed over; those that come in by uplinks were captured in a host with LRO."""
    if network.requests is None:
        return
    for port, (frames, size) in zip(network.wiring.ports, network.requests.large.tolist(), strict=False):
        by, counter = ("outside", "") if port.uplink else ("guest", "pktsTsoTxOK")
        yield OffloadCount(port.name, "handed over", by, counter, frames, size, frames)


def _done(half: Half) -> Iterator[OffloadCount]:
    for depth in half.depots:
        for depot in depth:
            for lane, (port, element) in enumerate(zip(depot.ports, depot.elements, strict=True)):
                yield from _of(depot, lane, port, element)


def _of(depot: Depot, lane: int, port: Port, element: Element) -> Iterator[OffloadCount]:
    """The counts of one stage."""
    bank: Any = depot.bank
    stage: Any = element.stage
    match bank:
        case Segmenters() | Splitters():
            counted = bank.counters[lane].tolist()
            what, by, counter = _segmented(stage, port)
            yield OffloadCount(
                port.name,
                what,
                by,
                counter,
                counted[Segmented.FRAMES],
                counted[Segmented.BYTES],
                counted[Segmented.SEGMENTS],
                counted[Segmented.DROPPED],
            )
        case Fills():
            frames, size, lost = (int(bank.counters[lane, column]) for column in Filled)
            yield OffloadCount(port.name, "checksum filled", _name(stage), "", frames, size, frames, lost)
        case Aggregators():
            frames, size, large = (
                int(bank.counters[lane, column]) for column in (Aggregated.FRAMES, Aggregated.BYTES, Aggregated.LARGE)
            )
            counter = "" if port.uplink else "LRO pkts rx ok"
            yield OffloadCount(
                port.name, "put together", "NIC or netpoll" if port.uplink else "kernel", counter, frames, size, large
            )


def _segmented(stage: Segmentation | LargeSplit, port: Port) -> tuple[str, str, str]:
    """What was done, by whom, and ESXi's counter of it."""
    if isinstance(stage, LargeSplit):
        return "split", By.KERNEL.value, ""
    if stage.by is By.NIC:
        return "segmented", _name(stage), "pktsTsoTxOK"
    return "segmented", _name(stage), "pktsSwTsoTx" if port.uplink else "pktsSwTsoRx"


def _name(stage: Segmentation | ChecksumFill) -> str:
    return stage.by.value
