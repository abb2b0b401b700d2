"""A slow, obvious model of a standard switch, written from the reference alone and from nothing of iochain.

One function a rule, plain bytes, no memory between frames. Section numbers in comments are those of the reference of
facts on port group and switch; "chosen" marks what it lists as unknown, with its recommendation.
"""

from binascii import crc32
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

VGT = 4095
EXACT_FILTER_SLOTS = 32
BROADCAST = bytes.fromhex("ffffffffffff")
STP = bytes.fromhex("0180c2000000")
PVST = bytes.fromhex("01000ccccccd")
TCP = 6

VERSION_DEFAULTS = {  # table T-9: MAC changes and forged transmits, BlockGuestBPDU, ReversePathFwdCheckPromisc
    "6.0": ("accept", 0, 0),
    "6.5": ("accept", 0, 0),
    "6.7": ("accept", 0, 0),
    "7.0": ("reject", 0, 0),
    "8.0": ("reject", 1, 0),
    "9.0": ("reject", 1, 1),
}


# -- what a lab is


@dataclass(frozen=True)
class Policies:
    """Security and teaming at one level, switch or port group; None: not said at this level."""

    promiscuous: str | None = None
    mac_changes: str | None = None
    forged_transmits: str | None = None
    load_balancing: str | None = None
    active: tuple[str, ...] | None = None
    standby: tuple[str, ...] | None = None
    unused: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Group:
    """A port group."""

    name: str
    vlan: int
    policies: Policies = Policies()


@dataclass(frozen=True)
class Client:
    """A vNIC or vmkernel adapter. ``wanted``: multicast addresses that the guest asked for, None for all.

    ``number`` is its port number; None: by its place among the clients.
    """

    name: str
    group: str
    mac: bytes
    effective_mac: bytes
    asks_promiscuous: bool = False
    wanted: tuple[bytes, ...] | None = None
    connected: bool = True
    is_vmkernel: bool = False
    number: int | None = None


@dataclass(frozen=True)
class Switch:
    """A standard switch: uplinks and clients in the order in which they connected."""

    name: str
    uplinks: tuple[str, ...]
    groups: tuple[Group, ...]
    clients: tuple[Client, ...]
    mtu: int = 1500
    policies: Policies = Policies()


@dataclass(frozen=True)
class Lab:
    """One host. ``settings`` are advanced ones without "Net.", ``options`` the emulator's.

    ``used``: the uplinks that each port group uses, where the past decides and not only who has a link.
    """

    version: str
    switches: tuple[Switch, ...]
    live: frozenset[str]
    settings: dict[str, int] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    used: dict[str, list[str]] | None = None

    def setting(self, name: str) -> int:
        """An advanced setting, by default that of the version."""
        _, bpdu, promiscuous_check = VERSION_DEFAULTS[self.version]
        defaults = {
            "BlockGuestBPDU": bpdu,
            "ReversePathFwdCheck": 1,
            "ReversePathFwdCheckPromisc": promiscuous_check,
            "MinEtherLen": 60,
        }
        return self.settings.get(name, defaults[name])


class Ending(NamedTuple):
    """A drop: the port in whose chain, or at whose switch, and whether on the way in or out."""

    port: str
    direction: str
    reason: str


@dataclass
class Outcome:
    """What became of a frame."""

    delivered: set[tuple[str, bytes]] = field(default_factory=set)
    dropped: set[Ending] = field(default_factory=set)


# -- effective policies (2.5, 5.3)


def group_of(switch: Switch, client: Client) -> Group:
    """The port group of a client."""
    return next(group for group in switch.groups if group.name == client.group)


def security(lab: Lab, switch: Switch, client: Client, name: str) -> str:
    """A security policy: the port group's, else the switch's, else the version's default."""
    for level in (group_of(switch, client).policies, switch.policies):
        said: str | None = getattr(level, name)
        if said is not None:
            return said
    return "reject" if name == "promiscuous" else VERSION_DEFAULTS[lab.version][0]


def balancing(switch: Switch, client: Client) -> str:
    """The teaming policy by esxcli's name."""
    own = group_of(switch, client).policies.load_balancing
    return own or switch.policies.load_balancing or "portid"


def order(switch: Switch, client: Client) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Active and standby uplinks, from the one level that says anything of them; who is on neither is unused."""
    for level in (group_of(switch, client).policies, switch.policies):
        if (level.active, level.standby, level.unused) != (None, None, None):
            rest = (level.standby or ()) + (level.unused or ())
            active = level.active
            if active is None:
                active = tuple(uplink for uplink in switch.uplinks if uplink not in rest)
            return active, level.standby or ()
    return switch.uplinks, ()


def team(lab: Lab, switch: Switch, client: Client) -> list[str]:
    """The uplinks that carry the client's traffic now, in order (5.1 to 5.3)."""
    if lab.used is not None:
        return lab.used[client.group]
    active, standby = order(switch, client)
    if balancing(switch, client) == "explicit":
        return [uplink for uplink in active + standby if uplink in lab.live][:1]
    spare = [uplink for uplink in standby if uplink in lab.live]
    if not active:  # chosen: a team of standbys alone uses the first
        return spare[:1]
    used = []
    for uplink in active:  # a standby uplink replaces a failed active one, in its slot
        if uplink in lab.live:
            used.append(uplink)
        elif spare:
            used.append(spare.pop(0))
    return used


def is_promiscuous(lab: Lab, switch: Switch, client: Client) -> bool:
    """Asked for by the guest, and granted (2.1, 2.2)."""
    return client.asks_promiscuous and security(lab, switch, client, "promiscuous") == "accept"


def receives_at_its_mac(lab: Lab, switch: Switch, client: Client) -> bool:
    """Whether the switch honours the guest's receive address (2.3)."""
    return client.effective_mac == client.mac or security(lab, switch, client, "mac_changes") == "accept"


# -- bytes


class Parts(NamedTuple):
    """A frame, its outer 802.1Q tag beside it. ``rest`` begins with the EtherType behind the tag."""

    destination: bytes
    source: bytes
    tci: int | None
    rest: bytes

    @property
    def vlan(self) -> int:
        return 0 if self.tci is None else self.tci & 0xFFF

    @property
    def is_group(self) -> bool:
        return bool(self.destination[0] & 1)

    @property
    def whole(self) -> bytes:
        tag = b"" if self.tci is None else b"\x81\x00" + self.tci.to_bytes(2, "big")
        return self.destination + self.source + tag + self.rest

    @property
    def untagged(self) -> bytes:
        return self.destination + self.source + self.rest


def parts(frame: bytes) -> Parts:
    """Take a frame apart; a tag counts where an EtherType follows it."""
    destination, source, rest = frame[:6], frame[6:12], frame[12:]
    if rest[:2] == b"\x81\x00" and len(rest) >= 6:
        return Parts(destination, source, int.from_bytes(rest[2:4], "big"), rest[4:])
    return Parts(destination, source, None, rest)


def behind_tags(rest: bytes) -> tuple[int, bytes]:
    """EtherType or length behind inner tags (two at most), and what follows."""
    for _ in range(2):
        if rest[:2] not in (b"\x81\x00", b"\x88\xa8", b"\x91\x00") or len(rest) < 6:
            break
        rest = rest[4:]
    return int.from_bytes(rest[:2], "big"), rest[2:]


def is_tcp(rest: bytes) -> bool:
    """Whether the frame carries TCP, by the protocol number of IPv4 or IPv6."""
    kind, packet = behind_tags(rest)
    if kind == 0x0800:
        return len(packet) >= 10 and packet[0] >> 4 == 4 and packet[9] == TCP
    return kind == 0x86DD and len(packet) >= 40 and packet[0] >> 4 == 6 and packet[6] == TCP


def is_too_long(frame: Parts, mtu: int) -> bool:
    """4.7: what is behind the layer 2 header, tags in the frame not counted; TCP super-frames are segmented later."""
    header = 18 if frame.rest[:2] == b"\x81\x00" else 14
    return len(frame.untagged) - header > mtu and not is_tcp(frame.rest)


def is_bpdu(frame: Parts) -> bool:
    """4.6: spanning tree in LLC, PVST+ in SNAP."""
    length, llc = behind_tags(frame.rest)
    if length >= 0x600:
        return False
    return (frame.destination, llc[:3]) in ((STP, b"\x42\x42\x03"), (PVST, b"\xaa\xaa\x03"))


def xor_of_addresses(frame: Parts) -> int:
    """XOR of the IP addresses; of IPv6 the low words (chosen), else the words where IPv4's addresses would be."""
    whole = frame.untagged
    at = (26, 30)
    if whole[12:14] == b"\x86\xdd" and whole[14:15] and whole[14] >> 4 == 6 and len(whole) >= 54:
        at = (34, 50)
    if len(whole) < at[1] + 4:
        return 0
    first, second = (int.from_bytes(whole[place : place + 4], "big") for place in at)
    return first ^ second


def receive_hash(mac: bytes) -> int:
    """T-11: the bit of the 64-bit filter, LANCE style (chosen)."""
    return (~crc32(mac) & 0xFFFFFFFF) >> 26


# -- a frame's way


def outcome(lab: Lab, port: str, frame: bytes) -> Outcome:
    """What becomes of a frame that comes in by a port."""
    switch = next(switch for switch in lab.switches if port in switch.uplinks or port in names(switch))
    way = Way(lab, switch, port, Outcome())
    if port in switch.uplinks:
        way.from_uplink(parts(frame))
    else:
        way.from_client(client_of(switch, port), parts(frame))
    return way.outcome


def names(switch: Switch) -> list[str]:
    """The names of the clients of a switch."""
    return [client.name for client in switch.clients]


def client_of(switch: Switch, name: str) -> Client:
    """A client by name."""
    return switch.clients[names(switch).index(name)]


@dataclass
class Way:
    """One frame's way through one switch."""

    lab: Lab
    switch: Switch
    port: str
    outcome: Outcome

    # -- in

    def from_client(self, client: Client, frame: Parts) -> None:
        """Input chain of a vNIC or vmkernel port, then the switch."""
        reason = self.refusal(client, frame)
        if reason:
            self.drop(client.name, "in", reason)
            return
        vlan = group_of(self.switch, client).vlan
        if 0 < vlan < VGT:  # 3.2: the switch tags; the priority of a priority tag is kept
            frame = frame._replace(tci=(frame.tci or 0) & 0xF000 | vlan)
        self.forward_from_client(client, frame)

    def refusal(self, client: Client, frame: Parts) -> str:
        """Why the input chain drops a frame, or nothing."""
        if not client.connected:
            return "DISCONNECTED"
        if is_too_long(frame, self.switch.mtu):
            return "MTU_EXCEEDED"
        if self.lab.setting("BlockGuestBPDU") and is_bpdu(frame):
            return "GUEST_BPDU"
        if security(self.lab, self.switch, client, "forged_transmits") == "reject":
            by_initial = self.lab.options.get("forged_reference") == "initial"
            if frame.source != (client.mac if by_initial else client.effective_mac):
                return "FORGED_TRANSMITS"
        return self.vlan_refusal(group_of(self.switch, client).vlan, frame)

    def vlan_refusal(self, vlan: int, frame: Parts) -> str:
        """3.1, 3.2 and what is chosen there on guests' own tags."""
        guest_may_tag = vlan == VGT or (vlan == 0 and self.lab.options.get("est_guest_tag") == "pass")
        if frame.vlan and not guest_may_tag:
            return "VLAN_MISMATCH"
        return "INVALID_TAG" if frame.vlan == 4095 else ""

    def from_uplink(self, frame: Parts) -> None:
        """Input chain of an uplink, then the switch (3.6)."""
        if self.port not in self.lab.live:
            self.drop(self.port, "in", "LINK_DOWN")
        elif frame.vlan == 4095:
            self.drop(self.port, "in", "INVALID_TAG")
        elif is_too_long(frame, self.switch.mtu):
            self.drop(self.port, "in", "MTU_EXCEEDED")
        else:
            self.forward_from_uplink(frame._replace(tci=kept_tag(frame.tci)))

    # -- the switch (4.1)

    def in_vlan(self, vlan: int) -> list[Client]:
        """The connected clients of a VLAN; those with 4095 are in all."""
        return [
            client
            for client in self.switch.clients
            if client.connected and group_of(self.switch, client).vlan in (vlan, VGT)
        ]

    def owners(self, frame: Parts) -> list[Client]:
        """The clients of the frame's VLAN that receive at its destination."""
        return [
            client
            for client in self.in_vlan(frame.vlan)
            if client.effective_mac == frame.destination and receives_at_its_mac(self.lab, self.switch, client)
        ]

    def watchers(self, frame: Parts) -> list[Client]:
        """The promiscuous ports of the frame's VLAN."""
        return [client for client in self.in_vlan(frame.vlan) if is_promiscuous(self.lab, self.switch, client)]

    def forward_from_client(self, sender: Client, frame: Parts) -> None:
        """Known unicast goes to its port, unknown to one uplink, groups to all of the VLAN and one uplink."""
        owners = self.owners(frame)
        targets = self.in_vlan(frame.vlan) if frame.is_group else owners + self.watchers(frame)
        others = {client.name: client for client in targets if client != sender}
        if frame.is_group or not owners:
            self.to_uplink(sender, frame)
        elif not others:
            self.drop(sender.name, "in", "NO_PORT")
        for client in others.values():
            self.to_client(client, frame, sender)

    def forward_from_uplink(self, frame: Parts) -> None:
        """Never to an uplink; unknown unicast only to promiscuous ports."""
        members = self.in_vlan(frame.vlan)
        if not members:
            self.drop(self.port, "in", "VLAN_MISMATCH")
            return
        targets = members if frame.is_group else self.owners(frame) + self.watchers(frame)
        for client in {client.name: client for client in targets}.values():
            self.to_client(client, frame, None)
        if not targets:
            refused = any(client.effective_mac == frame.destination for client in members)
            self.drop(self.port, "in", "MAC_CHANGES" if refused else "UNKNOWN_UNICAST")

    # -- out

    def to_uplink(self, sender: Client, frame: Parts) -> None:
        """Teaming, then tag and padding at the NIC (3.6)."""
        if balancing(self.switch, sender) == "none":
            self.drop(sender.name, "in", "NO_TEAMING")
            return
        uplink = self.choice(sender, frame)
        if uplink is None:
            self.drop(sender.name, "in", "NO_UPLINK")
            return
        short = max(0, self.lab.setting("MinEtherLen") - len(frame.untagged))
        self.outcome.delivered.add((uplink, frame._replace(tci=kept_tag(frame.tci)).whole + bytes(short)))

    def choice(self, sender: Client, frame: Parts) -> str | None:
        """The uplink for a frame (5.2)."""
        uplinks = team(self.lab, self.switch, sender)
        if not uplinks:
            return None
        match balancing(self.switch, sender):
            case "portid":
                return uplinks[self.port_hash(sender) % len(uplinks)]
            case "mac":
                return uplinks[frame.source[5] % len(uplinks)]
            case "iphash":
                return uplinks[self.ip_hash(frame) % len(uplinks)]
        return uplinks[0]

    def port_hash(self, client: Client) -> int:
        """The port number, where 1 is the switch's own port and uplinks come first; or the turn of connecting."""
        number = client.number
        if number is None:
            number = 2 + len(self.switch.uplinks) + self.switch.clients.index(client)
        if self.lab.options.get("port_hash") == "round_robin_at_connect":
            return number - 2 - len(self.switch.uplinks)
        return number

    def ip_hash(self, frame: Parts) -> int:
        """XOR of the addresses, whole or of their last octets (chosen: whole)."""
        mixed = xor_of_addresses(frame)
        return mixed & 0xFF if self.lab.options.get("ip_hash") == "last_octet" else mixed

    def to_client(self, client: Client, frame: Parts, sender: Client | None) -> None:
        """Output chain of a vNIC or vmkernel port."""
        reason = self.reverse_path(client, frame) if sender is None else ""
        reason = reason or self.receive_refusal(client, frame, sender)
        if reason:
            self.drop(client.name, "out", reason)
            return
        tci = frame.tci if group_of(self.switch, client).vlan == VGT else None
        self.outcome.delivered.add((client.name, frame._replace(tci=tci).whole))

    def reverse_path(self, client: Client, frame: Parts) -> str:
        """4.4: which uplinks a port listens to."""
        if is_promiscuous(self.lab, self.switch, client) and not self.lab.setting("ReversePathFwdCheckPromisc"):
            return ""
        uplinks = team(self.lab, self.switch, client)
        if not frame.is_group:
            return "" if self.port in (*order(self.switch, client)[0], *uplinks) else "REVERSE_PATH"
        if self.lab.setting("ReversePathFwdCheck") and frame.source in self.own_macs():
            return "REFLECTION"
        match balancing(self.switch, client):
            case "portid" if uplinks:
                uplinks = [uplinks[self.port_hash(client) % len(uplinks)]]
            case "mac" if uplinks:
                uplinks = [uplinks[client.effective_mac[5] % len(uplinks)]]
            case "none":
                uplinks = []
        return "" if self.port in uplinks else "REVERSE_PATH"

    def own_macs(self) -> set[bytes]:
        """The addresses of this switch's ports: given ones, and accepted effective ones."""
        found = set()
        for client in self.switch.clients:
            if client.connected:
                found.add(client.mac)
                if receives_at_its_mac(self.lab, self.switch, client):
                    found.add(client.effective_mac)
        return found

    def receive_refusal(self, client: Client, frame: Parts, sender: Client | None) -> str:
        """2.1, 2.2, 4.3: the receive filter, or the scope of promiscuous mode."""
        if is_promiscuous(self.lab, self.switch, client):
            return "" if self.in_scope(client, frame, sender) else "RECEIVE_FILTER"
        if not frame.is_group or frame.destination == BROADCAST or client.wanted is None:
            return ""
        wanted = set(client.wanted)
        if len(wanted) <= EXACT_FILTER_SLOTS:
            return "" if frame.destination in wanted else "RECEIVE_FILTER"
        return "" if receive_hash(frame.destination) in set(map(receive_hash, wanted)) else "RECEIVE_FILTER"

    def in_scope(self, client: Client, frame: Parts, sender: Client | None) -> bool:
        """Whether a promiscuous port sees the frame (2, chosen: everything in its VLANs; or of its port group only)."""
        if self.lab.options.get("promiscuous_scope") != "portgroup" or frame.is_group:
            return True
        ends: list[Client] = [*self.owners(frame), *([] if sender is None else [sender])]
        return client.group in [end.group for end in ends]

    def drop(self, port: str, direction: str, reason: str) -> None:
        self.outcome.dropped.add(Ending(port, direction, reason))


def kept_tag(tci: int | None) -> int | None:
    """3.6: VLAN and priority survive the border of the NIC, the DEI bit does not; if both are zero there is no tag."""
    return (tci or 0) & 0xEFFF or None


def ports(lab: Lab) -> Iterator[str]:
    """All ports by which frames can enter."""
    for switch in lab.switches:
        yield from switch.uplinks
        yield from names(switch)
