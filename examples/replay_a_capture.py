"""I have a capture of my VMs. What would a virtual switch with these settings have done with each frame?

Replay it: frames enter where their source MAC is at home, all others by an uplink. Counters, a table of drops and an
output capture come out; then change a setting, or pull a cable, and replay again.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from iochain import Lab, Reason

PCAPS = Path(__file__).parents[1] / "pcaps"
CAPTURE = PCAPS / "web-and-db.pcapng"

lab = Lab.load(PCAPS / "web-and-db.lab.yaml")
with TemporaryDirectory() as folder:
    whole = lab.replay(CAPTURE, output=f"{folder}/out.pcapng")
print(f"{whole.counters.entered} frames went in, {whole.written} copies came out, {whole.counters.dropped} dropped:")
for (rule, port), frames in whole.entries.items():
    print(f"  {frames:4} entered at {port} ({rule})")
for port in ("web", "db", "sniffer", "vmnic0"):
    print(f"  {sum(1 for _ in whole.deliveries(port)):4} copies delivered at {port}")
assert whole.counters.entered == sum(whole.entries.values()) == 393
assert whole.drops == []
assert any(whole.deliveries("sniffer"))

print("\nWhy frame 17 went where it went:")
print(lab.explain(CAPTURE, frame=17).explanation)

private = lab.with_settings(["portgroup.Monitor.promiscuous=reject"]).replay(CAPTURE)
unicast = [fate for fate in private.deliveries("sniffer") if not fate.data[0] & 1]
print(f"\nWithout promiscuous mode the sniffer gets {len(unicast)} unicast frames; broadcasts still come.")
assert unicast == []
assert any(not fate.data[0] & 1 for fate in whole.deliveries("sniffer"))

unplugged = lab.with_settings(["nic.vmnic0.link=down"]).replay(CAPTURE)
print(f"\nWith vmnic0 unplugged {unplugged.counters.dropped} are dropped:")
for drop in unplugged.drops:
    print(f"  {drop.frames:4} from frame {drop.first_frame} on  {drop.dropped.where}  {drop.dropped}")
assert {drop.dropped.drop.reason for drop in unplugged.drops} == {Reason.NO_UPLINK, Reason.LINK_DOWN}
assert not any(unplugged.deliveries("vmnic0"))
