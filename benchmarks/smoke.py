"""A short benchmark: does the engine run, and roughly how fast? For trends, not for claims.

Prints frames per CPU second of a lab of two VMs that exchange 64-byte frames.
"""

import time

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from iochain import Lab
from iochain.batch import batch_of
from iochain.engine.network import Network

FRAMES = 20_000
GAP_NS = 100_000
LEAST_FRAMES_PER_S = 2_000  # far below what any machine reaches: a smoke test finds fires, not noise


def main() -> None:
    lab = Lab()
    switch = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"])
    prod = switch.portgroup("Prod", vlan=10)
    for name in ("web", "db"):
        prod.vm(name)
    web, db = (lab.wiring.port(name).effective_mac for name in ("web", "db"))
    frame = bytes(Ether(src=str(web), dst=str(db)) / IP(src="10.0.0.1", dst="10.0.0.2") / UDP()).ljust(64, b"\0")
    network = Network.of(lab.wiring)
    batch = batch_of((frame, index * GAP_NS) for index in range(FRAMES))
    batch.rows["port"] = lab.wiring.port("web").number
    started = time.process_time()
    fates = network.run(batch)
    rate = FRAMES / (time.process_time() - started)
    assert len(fates.delivered) == FRAMES
    assert rate > LEAST_FRAMES_PER_S, f"{rate:,.0f} frames/s"
    print(f"{rate:,.0f} frames per CPU second")


if __name__ == "__main__":
    main()
