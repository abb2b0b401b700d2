"""Can I put a rule of my own into a port's chain? Yes: any function of (frame, port), or of one Scapy packet.

The first kind sees header fields and answers with the frame or with Drop; explanations and counters know it like any
other stage. The second kind gets the whole packet, may change any byte, and drops it by returning None.
"""

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from iochain import Drop, Frame, Lab, Port, Reason, Verdict

WEB, ROUTER = "00:50:56:00:00:01", "02:00:00:00:00:fe"
EXPEDITED = 46 << 2


def no_telnet(frame: Frame, port: Port) -> Verdict:
    return Drop(Reason.STAGE, "telnet") if frame.destination_port == 23 else frame


def mark_voice(packet: Packet) -> Packet:
    if UDP in packet and packet[UDP].dport == 5060:
        packet[IP].tos = EXPEDITED
        del packet[IP].chksum
    return packet


lab = Lab(esxi_version="8.0")
prod = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod", vlan=10)
web = prod.vm("web", mac=WEB)
web.input.insert(no_telnet, before="vlan")
web.input.insert(mark_voice, after="no_telnet")
print(web.input)

to_router = Ether(src=WEB, dst=ROUTER) / IP(src="10.0.10.1", dst="10.0.10.254")
telnet, ssh, call = to_router / TCP(dport=23), to_router / TCP(dport=22), to_router / UDP(dport=5060)

refused = web.send(telnet)
print("\nTelnet:", refused.explanation.why_not("vmnic0"))
why = refused.drops[0].dropped
assert why
assert why.stage == "no_telnet"
assert why.drop == Drop(Reason.STAGE, "telnet")
assert web.send(ssh).ports == ("vmnic0",)

marked = web.send(call).at("vmnic0")
print("\nA call leaves with DSCP", marked[IP].tos >> 2)
assert marked[IP].tos == EXPEDITED
assert web.send(ssh).at("vmnic0")[IP].tos == 0

web.input.remove("no_telnet")
web.input.remove("mark_voice")
print("\nWith both taken out, telnet leaves by", *web.send(telnet).ports, "and calls are not marked.")
assert web.send(telnet).ports == ("vmnic0",)
assert web.send(call).at("vmnic0")[IP].tos == 0
