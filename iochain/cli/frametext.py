"""The bytes of a frame from text: hexadecimal, or layers as Scapy writes them, read and never run.

Of Python only layer names with keyword arguments, plain values and ``/`` are understood. What Scapy would ask the
machine for (addresses, routes, host names) is either given or zero, so the same text gives the same bytes everywhere.
"""

import ast
import logging
import re
import socket
import warnings
from collections.abc import Mapping
from importlib import import_module
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final
from unittest.mock import patch

from attrs import frozen

from iochain.topology.mistakes import guess, one_line
from iochain.topology.units import mac, shown

LONGEST_TEXT: Final = 300_000
LARGEST_FRAME: Final = 1 << 18
SMALLEST_FRAME: Final = 14

LAYERS: Final[Mapping[str, str]] = {
    "Ether": "l2",
    "Dot3": "l2",
    "Dot1Q": "l2",
    "Dot1AD": "l2",
    "ARP": "l2",
    "LLC": "l2",
    "SNAP": "l2",
    "STP": "l2",
    "IP": "inet",
    "TCP": "inet",
    "UDP": "inet",
    "ICMP": "inet",
    "IPv6": "inet6",
    "IPv6ExtHdrHopByHop": "inet6",
    "IPv6ExtHdrRouting": "inet6",
    "IPv6ExtHdrDestOpt": "inet6",
    "IPv6ExtHdrFragment": "inet6",
    "ICMPv6EchoRequest": "inet6",
    "ICMPv6EchoReply": "inet6",
    "ICMPv6ND_RS": "inet6",
    "ICMPv6ND_RA": "inet6",
    "ICMPv6ND_NS": "inet6",
    "ICMPv6ND_NA": "inet6",
    "VXLAN": "vxlan",
    "BOOTP": "dhcp",
    "DHCP": "dhcp",
    "DNS": "dns",
    "DNSQR": "dns",
    "Raw": "packet",
    "Padding": "packet",
}
"""The layers that can be built, with Scapy's modules of them."""

DEFAULTS: Final[Mapping[str, Mapping[str, str]]] = {
    "IP": {"src": "0.0.0.0", "dst": "0.0.0.0"},
    "IPv6": {"src": "::", "dst": "::"},
    "ARP": {"hwsrc": "00:00:00:00:00:00", "psrc": "0.0.0.0", "hwdst": "00:00:00:00:00:00", "pdst": "0.0.0.0"},
}
"""Fields that Scapy would fill from the machine that it runs on."""

NEEDED: Final[Mapping[str, tuple[str, ...]]] = {"Ether": ("src", "dst"), "Dot3": ("src", "dst")}


class FrameTextError(ValueError):
    """A text that says no frame, with the place of the fault in it."""

    def __init__(self, message: str, text: str = "", column: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.text = text
        self.column = column

    def __str__(self) -> str:
        if self.column is None:
            return self.message
        start = max(self.column - 60, 0)
        shown_text = one_line(self.text[start : start + 90].replace("\n", " "))
        return f"{self.message}\n  {shown_text}\n  {' ' * (self.column - start)}^"


def frame_bytes(text: str) -> bytes:
    """The bytes of a frame that is written in hexadecimal or as layers. FrameTextError if it is neither."""
    if len(text) > LONGEST_TEXT:
        raise FrameTextError(f"the frame is {len(text):,} characters long; {LONGEST_TEXT:,} are read")
    digits = re.sub(r"[\s:.-]", "", text.strip().removeprefix("0x"))
    data = _from_hex(digits) if digits and re.fullmatch("[0-9A-Fa-f]+", digits) else _from_layers(text)
    if not SMALLEST_FRAME <= len(data) <= LARGEST_FRAME:
        raise FrameTextError(f"{len(data)} bytes are no Ethernet frame ({SMALLEST_FRAME} to {LARGEST_FRAME:,})")
    return data


def _from_hex(digits: str) -> bytes:
    if len(digits) % 2:
        raise FrameTextError(f"{len(digits)} hexadecimal digits: each byte takes two")
    return bytes.fromhex(digits)


def _from_layers(text: str) -> bytes:
    flat = text.strip().replace("\n", " ").replace("\r", " ")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in strings
            tree = ast.parse(flat, mode="eval").body
        with patch.object(socket, "getaddrinfo", _no_names):
            return _built(_Reader(flat).packet(tree), flat)
    except SyntaxError as wrong:
        # Python counts some of these places in bytes of UTF-8
        column = None if not flat else min(max((wrong.offset or 1) - 1, 0), len(flat))
        raise FrameTextError(_syntax(wrong), flat, column) from None
    except (RecursionError, MemoryError):
        raise FrameTextError("the frame is nested too deeply") from None
    except FrameTextError:
        raise
    except ValueError as wrong:  # a null character, or a number of too many digits
        raise FrameTextError(f"this is no frame: {wrong}") from None


_LOOK_UP: Final = socket.getaddrinfo


def _no_names(name: Any, port: Any, family: int = 0, *_: object) -> Any:
    """Stands where Scapy looks names up in the network: a text that is no address shall say so, not ask around."""
    try:
        return _LOOK_UP(name, port, family, flags=socket.AI_NUMERICHOST)
    except OSError:
        raise ValueError(f"{shown(name)} is no address; names are not looked up") from None


def _syntax(wrong: SyntaxError) -> str:
    allowed = "hexadecimal digits, or layers like Ether(src='…', dst='…')/IP(dst='10.0.0.2')/TCP(dport=80)"
    return f"this is no frame ({allowed}): {wrong.msg}"


def _built(packet: Any, text: str) -> bytes:
    """The bytes of a Scapy packet. Whatever Scapy says against a value that it was given is a message for the user."""
    if type(packet).__name__ not in NEEDED:
        raise FrameTextError(f"a frame begins with Ether(…), not with {type(packet).__name__}", text, 0)
    try:
        return bytes(packet)
    except Exception as wrong:
        raise FrameTextError(f"Scapy cannot build this frame: {_said(wrong)}") from None


def _said(wrong: BaseException) -> str:
    text = str(wrong).partition("\nTo inject")[0]  # Scapy's advice is for its own users
    return one_line(text.replace("\n", " ") or type(wrong).__name__)[:300]


@frozen
class _Reader:
    """Turns the parts of an expression into Scapy layers and plain values."""

    text: str

    def packet(self, node: ast.expr) -> Any:
        """Layers, joined by ``/``."""
        match node:
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                below, above = self.packet(left), self.packet(right)
                return below / above
            case ast.Call(func=ast.Name(id=name)):
                return self._layer(node, name)
            case ast.Constant() | ast.BinOp(op=ast.Mult()):
                return self._raw(node)
        raise self._fault(node, f"{_kind(node)} cannot stand here: layers are written Name(field=value), joined by /")

    def _layer(self, node: ast.Call, name: str) -> Any:
        if name not in LAYERS:
            known = ", ".join(LAYERS)
            raise self._fault(node, f'there is no layer "{name}"{guess(name, LAYERS) or f" (there are {known})"}')
        if node.args and name in ("Raw", "Padding") and len(node.args) == 1 and not node.keywords:
            return _scapy(name)(load=self._bytes(node.args[0]))
        if node.args:
            raise self._fault(
                node.args[0], f"values of {name} need the names of their fields, like {name}(field=value)"
            )
        layer = _scapy(name)
        fields = {field.name: field for field in layer.fields_desc}
        values: dict[str, Any] = dict(DEFAULTS.get(name, {}))
        for keyword in node.keywords:
            if keyword.arg is None or keyword.arg not in fields:
                raise self._unknown_field(keyword, name, fields)
            value = self._field(keyword.value, fields[keyword.arg], name)
            if value is not None:
                values[keyword.arg] = value
        for field in NEEDED.get(name, ()):
            if field not in values:
                raise self._fault(node, f"{name} needs {field}='…'; it is not taken from the machine that this runs on")
        try:
            return layer(**values)
        except Exception as wrong:
            raise self._fault(node, f"Scapy cannot build {name}: {_said(wrong)}") from None

    def _unknown_field(self, keyword: ast.keyword, name: str, fields: Mapping[str, Any]) -> FrameTextError:
        if keyword.arg is None:
            return self._fault(keyword.value, "** cannot stand here; name each field")
        hint = guess(keyword.arg, fields) or f" ({', '.join(fields)})"
        return self._fault(keyword, f'{name} has no field "{keyword.arg}"{hint}')

    def _field(self, node: ast.expr, field: Any, layer: str) -> Any:
        """The value of a field; addresses are checked here, for Scapy would look names up in the network."""
        value = self._value(node)
        if isinstance(value, (list, tuple)) and not field.islist:
            raise self._fault(node, f"{field.name} takes one value, not several: one frame is built")
        kind = _address_kind(field, layer)
        if not kind or not isinstance(value, str):
            return value
        try:
            return str(_ADDRESSES[kind](value))
        except ValueError:
            raise self._fault(node, f"{shown(value)} is no {kind} address; names are not looked up") from None

    def _value(self, node: ast.expr) -> Any:
        """A plain value: a literal, or a list of them. Layers may stand in fields (as in DNS)."""
        match node:
            case ast.Constant(value=value) if value is None or isinstance(value, (int, float, str, bytes)):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                return -number
            case ast.List(elts=elements):
                return [self._value(element) for element in elements]
            case ast.Tuple(elts=elements):
                return tuple(self._value(element) for element in elements)
            case ast.BinOp(op=ast.Mult()):
                return self._bytes(node)
            case ast.Call() | ast.BinOp(op=ast.Div()):
                return self.packet(node)
        raise self._fault(node, f"{_kind(node)} cannot stand here: only numbers, text, bytes and lists of them")

    def _raw(self, node: ast.expr) -> Any:
        return _scapy("Raw")(load=self._bytes(node))

    def _bytes(self, node: ast.expr) -> bytes:
        """Bytes, perhaps a number of times: ``b"ab" * 100``."""
        match node:
            case ast.Constant(value=bytes() as value):
                return value
            case ast.Constant(value=str() as value):
                return value.encode()
            case ast.BinOp(left=ast.Constant(value=int()) as count, op=ast.Mult(), right=what):
                return self._repeated(what, count)
            case ast.BinOp(left=what, op=ast.Mult(), right=ast.Constant(value=int()) as count):
                return self._repeated(what, count)
        allowed = 'payload is bytes, like b"ab", or (b"ab" * 100), in parentheses'
        raise self._fault(node, f"{_kind(node)} cannot stand here: {allowed}")

    def _repeated(self, what: ast.expr, count: ast.Constant) -> bytes:
        data, times = self._bytes(what), count.value
        assert isinstance(times, int)
        if len(data) * times > LARGEST_FRAME:
            raise self._fault(count, f"this is longer than {LARGEST_FRAME:,} bytes")
        return data * min(times, LARGEST_FRAME)  # nothing can be repeated ever so often

    def _fault(self, node: ast.AST, message: str) -> FrameTextError:
        offset = getattr(node, "col_offset", 0)  # in bytes of UTF-8
        column = len(self.text.encode()[:offset].decode(errors="replace"))
        return FrameTextError(message, self.text, column)


def _kind(node: ast.AST) -> str:
    """What a part of Python is called in a message."""
    match node:
        case ast.Name(id=name):
            return f'the name "{name}"'
        case ast.Call():
            return "a call"
        case ast.Attribute():
            return "a dot"
        case ast.Constant():
            return "this value"
    return {"BinOp": "this operation", "UnaryOp": "this operation", "Subscript": "an index"}.get(
        type(node).__name__, "this"
    )


_ARP_FIELDS: Final = {"hwsrc": "MAC", "hwdst": "MAC", "psrc": "IPv4", "pdst": "IPv4"}
_ADDRESSES: Final[Mapping[str, Any]] = {"MAC": mac, "IPv4": IPv4Address, "IPv6": IPv6Address}


def _address_kind(field: Any, layer: str) -> str:
    """Which kind of address a field holds; empty if it holds none."""
    if layer == "ARP":
        return _ARP_FIELDS.get(field.name, "")
    names = {cls.__name__ for cls in type(getattr(field, "fld", field)).__mro__}
    kinds = {"MACField": "MAC", "IPField": "IPv4", "IP6Field": "IPv6"}
    return next((kind for name, kind in kinds.items() if name in names), "")


def _scapy(name: str) -> Any:
    """A layer of Scapy, which loads with the first."""
    logging.getLogger("scapy").setLevel(logging.CRITICAL)  # it speaks of the interfaces of this machine
    for module in ("l2", "inet", "inet6"):  # these know of each other's layers by type numbers
        import_module(f"scapy.layers.{module}")
    home = LAYERS[name]
    return getattr(import_module("scapy.packet" if home == "packet" else f"scapy.layers.{home}"), name)
