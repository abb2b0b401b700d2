"""What a policy says of a lab: named statements, each with the reason why it is to hold.

A statement is about single frames, each sent alone into the lab as its file describes it.
"""

from typing import TypeAlias

from attrs import field, frozen

from iochain.topology.mistakes import Place
from iochain.verify.conditions import ANY_FRAME, Condition

Ports: TypeAlias = frozenset[int]
"""Ports by number."""


@frozen
class Isolated:
    """No frame that a port of ``a`` sends is delivered at a port of ``b``, nor the other way."""

    a: Ports
    b: Ports


@frozen
class Reaches:
    """Each frame that a port of ``source`` sends to a port of ``to`` is delivered there.

    ``frames`` are those that it speaks of. Where they do not say it, they are sent from the sender's own MAC to the
    receiver's, with the tag that the sender's port group needs for the receiver's VLAN.
    """

    source: Ports
    to: Ports
    frames: Condition = ANY_FRAME


@frozen
class Never:
    """No frame that is like ``frames`` is delivered at a port of ``at``.

    ``sent`` says how such a frame was when a port of ``source`` sent it; on its way its tag may change.
    """

    at: Ports
    source: Ports
    frames: Condition = ANY_FRAME
    sent: Condition = ANY_FRAME


@frozen
class NoSpoofing:
    """Nothing is delivered anywhere that one of ``ports`` sent from a MAC that is not its own.

    Its own is the one of the VM's configuration, and those in ``macs``.
    """

    ports: Ports
    macs: frozenset[int] = frozenset()


@frozen
class Only:
    """Whatever is delivered at a port of ``at`` is of one of these VLANs; 0: has no tag, or one that names no VLAN."""

    vlans: frozenset[int]
    at: Ports


Rule: TypeAlias = Isolated | Reaches | Never | NoSpoofing | Only


@frozen
class Statement:
    """A rule with its name, the reason for it, and where it stands."""

    name: str
    because: str
    rule: Rule
    place: Place | None = field(default=None, eq=False)

    @property
    def kind(self) -> str:
        """The word that the policy file has for it."""
        return KINDS[type(self.rule)]


KINDS: dict[type, str] = {
    Isolated: "isolated",
    Reaches: "reaches",
    Never: "never",
    NoSpoofing: "no_spoofing",
    Only: "only",
}
