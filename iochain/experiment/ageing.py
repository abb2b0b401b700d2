"""Ageing: a physical switch forgets a MAC when it has not seen it for its ageing time (IEEE 802.1Q, 8.8.3).

Expiry is exact: at the last frame's time and the ageing time, before the frames of that moment.
"""

from typing import Self

from attrs import define

from iochain.experiment.live import Live
from iochain.topology.fabric import PhysicalSwitch


@define
class Ageing:
    """Looks at each switch when its oldest entry may be due. Nothing learned later can be due before."""

    live: Live

    @classmethod
    def start(cls, live: Live) -> Self:
        """The switches of a network that starts."""
        ageing = cls(live)
        for switch in live.wiring.fabric.switches.values():
            if switch.ageing_ns:
                ageing._look_at(switch, live.now_ns + switch.ageing_ns)
        return ageing

    def _look_at(self, switch: PhysicalSwitch, time_ns: int) -> None:
        self.live.agenda.at(time_ns, lambda: self._look(switch))

    def _look(self, switch: PhysicalSwitch) -> None:
        now, ages = self.live.now_ns, self.live.network.ages
        next_ns = now + switch.ageing_ns
        for vlan, mac in switch.learned.entries():
            last_ns = ages.last_ns(switch.name, vlan, mac)
            due_ns = now if last_ns is None else last_ns + switch.ageing_ns
            if due_ns <= now:
                switch.learned.set((vlan, mac), "")
            else:
                next_ns = min(next_ns, due_ns)
        self._look_at(switch, next_ns)
