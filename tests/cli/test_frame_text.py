import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrHopByHop
from scapy.layers.l2 import ARP, LLC, SNAP, STP, Dot1AD, Dot1Q, Dot3, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Padding, Raw

from iochain.cli.frametext import LARGEST_FRAME, LAYERS, SMALLEST_FRAME, FrameTextError, frame_bytes

A, B = "00:50:56:00:00:01", "00:50:56:00:00:02"
ETHER = f"Ether(src='{A}', dst='{B}')"
ETHERNET = Ether(src=A, dst=B)
BPDU = "01:80:c2:00:00:00"


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        (ETHER, ETHERNET),
        (f"{ETHER}/IP(src='10.0.0.1', dst='10.0.0.2', ttl=3)/TCP(dport=80, flags='SA', options=[('MSS', 1460)])",
         ETHERNET / IP(src="10.0.0.1", dst="10.0.0.2", ttl=3) / TCP(dport=80, flags="SA", options=[("MSS", 1460)])),
        (f"{ETHER}/Dot1Q(vlan=10, prio=5)/IP(dst='10.0.0.2')/UDP(dport=53)/b'abc'",
         ETHERNET / Dot1Q(vlan=10, prio=5) / IP(src="0.0.0.0", dst="10.0.0.2") / UDP(dport=53) / b"abc"),
        (f"{ETHER}/Dot1AD(vlan=5)/Dot1Q(vlan=6)/IP(src='1.1.1.1', dst='2.2.2.2')/ICMP()/'text'",
         ETHERNET / Dot1AD(vlan=5) / Dot1Q(vlan=6) / IP(src="1.1.1.1", dst="2.2.2.2") / ICMP() / "text"),
        (f"{ETHER}/ARP(op=2, hwsrc='{A}', psrc='10.0.0.1', pdst='10.0.0.2', hwdst='{B}')",
         ETHERNET / ARP(op=2, hwsrc=A, psrc="10.0.0.1", pdst="10.0.0.2", hwdst=B)),
        (f"{ETHER}/IPv6(src='::1', dst='ff02::1')/IPv6ExtHdrHopByHop()/ICMPv6EchoRequest(data=b'x' * 4)",
         ETHERNET / IPv6(src="::1", dst="ff02::1") / IPv6ExtHdrHopByHop() / ICMPv6EchoRequest(data=b"xxxx")),
        (f"{ETHER}/Raw(b'ab' * 3)/Padding(load=b'\\x00')", ETHERNET / Raw(b"ababab") / Padding(b"\0")),
        (f"{ETHER}/IP(src='1.1.1.1', dst='2.2.2.2')/UDP()/VXLAN(vni=7)/{ETHER}",
         ETHERNET / IP(src="1.1.1.1", dst="2.2.2.2") / UDP() / VXLAN(vni=7) / ETHERNET),
        (f"Dot3(src='{A}', dst='{BPDU}')/LLC()/STP(rootid=-0)", Dot3(src=A, dst=BPDU) / LLC() / STP(rootid=0)),
        (f"Dot3(src='{A}', dst='{BPDU}')/LLC()/SNAP(code=3)", Dot3(src=A, dst=BPDU) / LLC() / SNAP(code=3)),
        (f"  {ETHER}\n/ (2 * b'a')", ETHERNET / b"aa"),
    ],
)  # fmt: skip
def test_layers_give_the_bytes_that_scapy_gives(text: str, packet: Packet) -> None:
    assert frame_bytes(text) == bytes(packet)


@pytest.mark.parametrize("text", ["00 50 56" * 5, "0x" + "ab" * 14, "00:50:56:00:00:02-005056000001.0800"])
def test_hexadecimal(text: str) -> None:
    assert len(frame_bytes(text)) in (14, 15)


def test_dhcp_and_dns() -> None:
    udp = f"{ETHER}/IP(src='0.0.0.0', dst='255.255.255.255')/UDP(sport=68, dport=67)"
    assert b"c\x82Sc5\x01\x01\xff" in frame_bytes(f"{udp}/BOOTP()/DHCP(options=[('message-type', 'discover'), 'end'])")
    assert b"\x01a\x01b\0" in frame_bytes(f"{udp}/DNS(qd=DNSQR(qname='a.b'))")


REFUSED = [
    ("__import__('os').system('true')", "cannot stand here", "__import__"),
    (f"{ETHER}/IP(dst=__import__('os'))", 'there is no layer "__import__"', "__import__"),
    ("Ether.__class__", "a dot cannot stand here", "Ether."),
    (f"{ETHER}.show()", "cannot stand here", "Ether("),
    (f"{ETHER}/IP(dst=open)", 'the name "open" cannot stand here', "open"),
    (f"{ETHER}/IP(ttl=(lambda: 1)())", "cannot stand here", "(lambda"),
    (f"{ETHER}/IP(ttl=[x for x in (1, 2)])", "cannot stand here", "[x for"),
    (f"{ETHER}/IP(id=1 if 1 else 2)", "cannot stand here", "1 if"),
    (f"{ETHER}/IP(id=2 ** 99)", "cannot stand here", "2 **"),
    (f"{ETHER}/IP(**{{}})", "name each field", "{}"),
    (f"{ETHER}/IP(*[])", "names of their fields", "*[]"),
    (f"{ETHER}/IP(b'raw bytes')", "names of their fields", "b'raw"),
    (f"{ETHER}/f'{{1}}'", "cannot stand here", "f'"),
    (f"{ETHER}/(b'a' * 9999999)", "longer than 262,144 bytes", "9999999"),
    (f"{ETHER}/b'a' * 4", "in parentheses", "Ether("),
    (f"{ETHER}/IP(dst='www.example.com')", "no IPv4 address; names are not looked up", "'www"),
    (f"{ETHER}/IP(dst='10.0.0.0/24')", "no IPv4 address", "'10.0.0.0/24"),
    (f"{ETHER}/IP(ttl=[1, 2])", "one value, not several", "[1, 2]"),
    (f"{ETHER}/IP(dstt='1.1.1.1')", 'IP has no field "dstt"; is "dst" meant?', "dstt="),
    ("Ether(dst='ff:ff:ff:ff:ff:ff')", "Ether needs src='…'", "Ether("),
    ("Ether(dst='ff:ff:ff:ff:ff:ff', src=None)", "Ether needs src='…'", "Ether("),
    ("Ehter()", 'there is no layer "Ehter"; is "Ether" meant?', "Ehter"),
    ("Ether(src='00-50-56-00-00-01', type='é', dst='x')", "no MAC address", "'x'"),
    ("IP(dst='1.1.1.1')", "a frame begins with Ether", "IP("),
    (f"{ETHER}/IP(", "was never closed", "("),
]


@pytest.mark.parametrize(("text", "said", "at"), REFUSED)
def test_what_is_refused_is_shown(text: str, said: str, at: str) -> None:
    with pytest.raises(FrameTextError) as caught:
        frame_bytes(text)
    message, quoted, mark = str(caught.value).splitlines()
    assert said in message
    assert quoted[mark.index("^") :].startswith(at)


@pytest.mark.parametrize(
    "text",
    ["", "abc", "00", "ab" * 300_000, f"{ETHER}/IP(ttl=900)", f"{ETHER}/UDP(sport='nothing-of-this-name')", "(" * 5000,
     f"{ETHER}/IP()/UDP()/BOOTP()/DHCP(options=[('server_id', 'www.example.com')])", "-" * 9000 + "1",
     f"{ETHER}/IPv6()/IPv6ExtHdrRouting(addresses=['www.example.com'])", "\0", f"{ETHER}/IP(id={'9' * 5000})"],
    ids=lambda text: text[-20:],
)  # fmt: skip
def test_what_cannot_be_a_frame_is_told(text: str) -> None:
    with pytest.raises(FrameTextError):
        frame_bytes(text)


PIECES = st.sampled_from(
    [*(f"{name}(" for name in LAYERS), "src=", "dst=", "type=", "options=", "load=", "vlan=", "qd=", "addresses=", ")",
     ",", "/", "*", "-", "[", "]", "(", "=", "'", "b'a'", f"'{A}'", "'1.2.3.4'", "'::'", "1", "99999999999", "1.5",
     "None", "True", "...", "lambda:", ".x", "x", "**{}", "\\", "\n", "#", ETHER, f"{ETHER}/IP(dst='1.1.1.1')", "ü"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.lists(PIECES, max_size=12).map("".join))
@example(f"{ETHER}/IP(src='x')")
def test_any_text_is_a_frame_or_a_message(text: str) -> None:
    check(text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner),
    max_leaves=5,
)
FIELDS = [
    "src",
    "dst",
    "type",
    "vlan",
    "ttl",
    "options",
    "flags",
    "load",
    "len",
    "chksum",
    "data",
    "op",
    "psrc",
    "hwsrc",
]


@st.composite
def layers(draw: st.DrawFn) -> str:
    """Layers with any values in their fields, well formed but seldom right."""
    text = ETHER
    for name in draw(st.lists(st.sampled_from(sorted(LAYERS)), max_size=3)):
        fields = draw(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=2))
        text += f"/{name}({', '.join(f'{field}={value!r}' for field, value in fields.items())})"
    return text


@settings(max_examples=400, deadline=None)
@given(layers())
def test_any_values_make_a_frame_or_a_message(text: str) -> None:
    check(text)


def check(text: str) -> None:
    """The text gives a frame, the same one twice, or a message in which nothing is unprintable."""
    try:
        data = frame_bytes(text)
    except FrameTextError as wrong:
        event("message")
        message = str(wrong)
    else:
        event("frame")
        assert SMALLEST_FRAME <= len(data) <= LARGEST_FRAME
        assert data == frame_bytes(text)
        return
    assert all(line.isprintable() for line in message.split("\n"))
