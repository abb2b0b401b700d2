"""Which stages stand in a port's chains, and in which order.

ESXi has in a chain just what the configuration needs (N. Hagoort, "Understanding the ESXi Network IOChain"). The order
inside a chain is not published; this one agrees with all that is. It is data: ``chain.move`` changes it.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from attrs import define

from iochain.chain import Chain, Element, From, Port
from iochain.frame import ALL_VLANS, Table
from iochain.portgroup.receive import ReceiveFilter
from iochain.portgroup.security import Disconnected, ForgedTransmits, GuestBpdu, PromiscuousScope
from iochain.portgroup.vlan import AccessVlan, GuestVlan, NoVlan, VlanMember
from iochain.topology import offloads
from iochain.topology.effective import Policy, Settings
from iochain.topology.spec import (
    Answer,
    Duplex,
    FailureDetection,
    ForgedReference,
    GuestTag,
    IpHash,
    LinkState,
    LoadBalancing,
    Nic,
    OffloadProfile,
    PortHash,
    Vmkernel,
    Vnic,
)
from iochain.topology.spec import (
    PromiscuousScope as ScopeOption,
)
from iochain.uplink.nic import Link, Mtu, ReceivedTag, SentTag
from iochain.uplink.wire import Wire
from iochain.vswitch.forwarding import ByVlan
from iochain.vswitch.reverse_path import ReversePath
from iochain.vswitch.shaping import Shaper, queue_frames
from iochain.vswitch.teaming import (
    ByIpHash,
    ByPort,
    BySourceMac,
    Explicit,
    NoTeaming,
    Shotgun,
    TakeBeacons,
    Teaming,
    first_in_order,
    in_use,
)

if TYPE_CHECKING:
    from iochain.topology.wiring import Team, Wiring

BPDU: Final = "Net.BlockGuestBPDU"
FWD_CHECK: Final = "Net.ReversePathFwdCheck"
FWD_CHECK_PROMISC: Final = "Net.ReversePathFwdCheckPromisc"
MIN_ETHER_LEN: Final = "Net.MinEtherLen"
TX_QUEUE: Final = "Net.MaxNetifTxQueueLen"
LONGER_ALLOWED: Final = "Net.Vmxnet3NonTsoPacketGtMtuAllowed"
FIRST_CHECKED_MTU: Final = 6.7
"""From 6.7 U2 on a vNIC does not take what is longer than its MTU (cisco.com, document 217375)."""
SHAPER_QUEUE_MIN: Final = "Net.NetShaperQueueSizeMin"
SHAPER_QUEUE_MAX: Final = "Net.NetShaperQueueSizeMax"


@define
class HostTables:
    """The tables of a host that several of its stages consult."""

    host: str
    physical: dict[str, Nic]  # its physical NICs by name
    uplinks: Table[int, str]  # name of the uplink by port number; empty: no uplink
    up: Table[int, bool]  # whether it has a link, by port number
    in_use: Table[str, tuple[str, ...]]  # uplinks in use, by team
    everywhere: Table[str, tuple[str, ...]]  # uplinks that all is sent on while beacons are ambiguous, by team
    nics: Table[int, str]  # its uplinks by MAC
    portgroups: Table[int, str]  # by port number
    owners: ByVlan  # port groups by (VLAN, MAC)

    @classmethod
    def of(cls, host: str, physical: dict[str, Nic]) -> "HostTables":
        """Tables without ports."""
        return cls(
            host,
            physical,
            Table("uplinks", ""),
            Table("links", False),
            Table("uplinks in use", ()),
            Table("uplinks that all is sent on", ()),
            Table("own NICs", ""),
            Table("port groups of ports", ""),
            ByVlan("port groups of MACs", ()),
        )


def team_chain(name: str, policy: Policy, tables: HostTables, settings: Settings) -> Chain:
    """The stages of a team, with its uplinks in use entered in the host's table."""
    up = {nic for nic, value in tables.physical.items() if value.link is LinkState.UP}
    choose = first_in_order if policy.load_balancing.value is LoadBalancing.EXPLICIT else in_use
    sound = meeting(policy, tables.physical, up)
    tables.in_use.set(name, choose(policy.active.value, policy.standby.value, sound))
    stage = _teaming_stage(name, policy, tables, settings)
    elements = [Element("teaming", stage, {"in_use": policy.active}, policy.load_balancing)]
    if probes(policy):
        elements.insert(0, Element("shotgun", Shotgun(name, tables.everywhere), because=policy.failure_detection))
    return Chain(name, elements)


def probes(policy: Policy) -> bool:
    """Whether a team sends beacons. With guests' tags (VLAN 4095) it does not (vSphere Networking 5.5)."""
    return policy.failure_detection.value is FailureDetection.BEACON and policy.vlan.value != ALL_VLANS


def meeting(policy: Policy, physical: Mapping[str, Nic], up: Collection[str]) -> set[str]:
    """Those of a team's uplinks with a link that meet its criteria of speed and duplex; all of them if none does.

    "Best effort on failure": a real dump of net-dvs names it; that it means this is inferred.
    """
    linked = {nic for nic in (*policy.active.value, *policy.standby.value) if nic in up}
    return {nic for nic in linked if _meets(policy, physical[nic])} or linked


def _meets(policy: Policy, nic: Nic) -> bool:
    exact = policy.exact_speed.value
    if policy.full_duplex.value and nic.duplex is not Duplex.FULL:
        return False
    return bool(nic.speed >= policy.minimum_speed.value and exact in (None, nic.speed))


def _teaming_stage(name: str, policy: Policy, tables: HostTables, settings: Settings) -> Teaming:
    kind = policy.load_balancing.value
    if kind is LoadBalancing.PORT_ID:
        return ByPort(name, tables.in_use, settings.option("port_hash").value is PortHash.ROUND_ROBIN)
    if kind is LoadBalancing.IP_HASH:
        return ByIpHash(name, tables.in_use, settings.option("ip_hash").value is IpHash.LAST_OCTET)
    simple: dict[LoadBalancing, Any] = {
        LoadBalancing.SOURCE_MAC: BySourceMac,
        LoadBalancing.EXPLICIT: Explicit,
        LoadBalancing.NONE: NoTeaming,
    }
    stage: Teaming = simple[kind](name, tables.in_use)
    return stage


def client_chains(
    port: Port,
    adapter: Vnic | Vmkernel,
    team: "Team",
    tables: HostTables,
    own: Table[int, bool],
    wiring: "Wiring",
    off: From | None = None,
) -> tuple[Chain, Chain]:
    """Input and output chain of a vNIC's or vmkernel adapter's port; ``off`` says why nothing passes it."""
    settings = wiring.settings
    client = _Client(port, adapter, team, tables, settings, off)
    teaming = wiring.team_chain(team.name)["teaming"].stage
    return (
        Chain(f"input of {port.name}", settings.shared(client.input())),
        Chain(f"output of {port.name}", settings.shared(client.output(own, teaming))),
    )


@define
class _Client:
    port: Port
    adapter: Vnic | Vmkernel
    team: "Team"
    tables: HostTables
    settings: Settings
    off: From | None

    def input(self) -> list[Element]:
        """From the guest: connected, MTU, BPDU filter, forged transmits, VLAN, shaper."""
        policy, host = self.team.policy, self.port.host
        elements = []
        if self.off is not None:
            elements.append(Element("port", Disconnected(), because=self.off))
        elements.append(_mtu(policy.mtu, self.settings))
        bpdu = self.settings.advanced(host, BPDU)
        if bpdu.value:
            elements.append(Element("bpdu filter", GuestBpdu(), because=bpdu))
        if policy.forged_transmits.value is Answer.REJECT:
            initial = self.settings.option("forged_reference").value is ForgedReference.INITIAL
            elements.append(Element("forged transmits", ForgedTransmits(initial), because=policy.forged_transmits))
        elements.append(self._vlan_input())
        shaping = policy.shaping.value
        if shaping is not None and shaping.enabled:
            elements.append(Element("shaper", self._shaper(), because=policy.shaping))
        return elements

    def output(self, own: Table[int, bool], teaming: Teaming) -> list[Element]:
        """To the guest: reverse path, VLAN, receive filter, MTU; then large packets and checksums."""
        policy, host = self.team.policy, self.port.host
        elements = []
        if not self.port.promiscuous or self.settings.advanced(host, FWD_CHECK_PROMISC).value == 1:
            elements.append(self._reverse_path(own, teaming))
        scope = self.settings.option("promiscuous_scope")
        if self.port.promiscuous and scope.value is ScopeOption.PORTGROUP:  # asks for the VLAN, so before it comes off
            narrowed = PromiscuousScope(self.tables.portgroups, self.tables.owners)
            elements.append(Element("promiscuous scope", narrowed, because=scope))
        if policy.vlan.value != ALL_VLANS:
            stage = VlanMember(policy.vlan.value)
            elements.append(Element("vlan", stage, {"vlan": policy.vlan}, policy.vlan))
        if not self.port.promiscuous:
            elements.append(self._receive_filter())
        return [*elements, *self._received_mtu(), *offloads.delivery(self.settings, self.port, self.adapter, self._mtu)]

    @property
    def _mtu(self) -> From:
        """The MTU of the client: what the lab says of its vNIC, else its switch's."""
        own = getattr(self.adapter, "mtu", None)
        return self.team.policy.mtu if own is None else From(own, f"the guest of {self.port.name}", "mtu")

    def _received_mtu(self) -> list[Element]:
        """A vNIC refuses what is longer than its own MTU, where that is said, from 6.7 U2 on."""
        allowed = self.settings.advanced(self.port.host, LONGER_ALLOWED)
        version = float(self.settings.version(self.port.host))
        is_said = getattr(self.adapter, "mtu", None) is not None
        return (
            [_mtu(self._mtu, self.settings)] if is_said and version >= FIRST_CHECKED_MTU and allowed.value != 1 else []
        )

    def _receive_filter(self) -> Element:
        """Refuses other ports' frames for want of promiscuous mode, and groups that the guest did not ask for."""
        groups = getattr(self.adapter, "groups", None)
        asked = From(groups, f"the guest of {self.port.name}", "groups")
        said = {} if groups is None else {"groups": asked, "hashed": asked}
        return Element("receive filter", ReceiveFilter.of(self.port.groups), said, self.team.policy.promiscuous)

    def _vlan_input(self) -> Element:
        vlan = self.team.policy.vlan
        if vlan.value == 0:
            option = self.settings.option("est_guest_tag")
            stage: Any = NoVlan(option.value is GuestTag.PASS)
            return Element("vlan", stage, {"guest_tag_passes": vlan}, vlan)
        stage = GuestVlan() if vlan.value == ALL_VLANS else AccessVlan(vlan.value)
        return Element("vlan", stage, {"vlan": vlan}, vlan)

    def _reverse_path(self, own: Table[int, bool], teaming: Teaming) -> Element:
        policy = self.team.policy
        check = self.settings.advanced(self.port.host, FWD_CHECK)
        everywhere = self.tables.everywhere if probes(policy) else None
        stage = ReversePath(teaming, policy.active.value, bool(check.value), self.tables.uplinks, own, everywhere)
        said = {"fwd_check": check, "active": policy.active, "teaming": policy.load_balancing}
        return Element("reverse path", stage, said)

    def _shaper(self) -> Shaper:
        shaping, host = self.team.policy.shaping.value, self.port.host
        smallest = self.settings.advanced(host, SHAPER_QUEUE_MIN).value
        largest = self.settings.advanced(host, SHAPER_QUEUE_MAX).value
        peak = shaping.average if shaping.peak is None else shaping.peak
        return Shaper(shaping.average, peak, shaping.burst, queue_frames(shaping.burst, smallest, largest))


def uplink_chains(
    port: Port, nic: Nic, wiring: "Wiring", tables: HostTables, switch: str, probing: From | None = None
) -> tuple[Chain, Chain]:
    """Input and output chain of an uplink's port: link, tag and MTU, offloads, and outwards the wire.

    Segmentation stands behind the MTU, which large packets pass, and sees to it that segments fit: so all header stages
    of a frame stand together, and are one decision. LRO stands at the NIC, before them.
    Where a team of its switch sends beacons (``probing`` is the setting) it takes those of its own host in.
    """
    settings, host = wiring.settings, port.host
    path = ("hosts", host, "vswitches", switch)
    mtu = settings.said(wiring.spec.hosts[host].vswitches[switch].mtu, switch, (*path, "mtu"))
    name = port.name.rpartition(".")[2]
    link = settings.said(nic.link, f"NIC {port.name}", ("hosts", host, "nics", name, "link"))
    smallest = settings.advanced(host, MIN_ETHER_LEN).value
    queue = settings.advanced(host, TX_QUEUE)
    wire = Wire(nic.speed, queue.value, smallest, mtu.value)
    checked = _mtu(mtu, settings)
    linked = Element("link", Link(tables.up), because=link if nic.link is LinkState.DOWN else None)
    received = [
        *offloads.uplink_input(settings, host, name, nic, mtu.value),
        linked,
        Element("vlan", ReceivedTag()),
        checked,
    ]
    if probing is not None:
        received.append(Element("beacon", TakeBeacons(tables.nics), because=probing))
    return (
        Chain(f"input of {port.name}", received),
        Chain(
            f"output of {port.name}",
            [
                linked,
                Element("vlan", SentTag()),
                checked,
                *offloads.uplink_output(settings, host, name, nic, mtu),
                Element("wire", wire, because=queue),
            ],
        ),
    )


def _mtu(mtu: From, settings: Settings) -> Element:
    """What is longer than the MTU and no large packet is refused."""
    nobody_knows = settings.option("offloads").value is OffloadProfile.NONE
    return Element("mtu", Mtu(mtu.value, nobody_knows), {"mtu": mtu}, mtu)
