"""What hosts do while a network runs: watch their links, fail over, probe with beacons, notify switches, plug VMs."""

from typing import Self

from attrs import define

from iochain.experiment.beacons import Beacons
from iochain.experiment.links import Links
from iochain.experiment.live import Live
from iochain.experiment.machines import Machines
from iochain.experiment.notify import Notify


@define
class Hosts:
    """The hosts of a running network; control events work on its parts."""

    links: Links
    beacons: Beacons
    notify: Notify
    machines: Machines

    @classmethod
    def start(cls, live: Live) -> Self:
        """The hosts as the lab describes them. Timers are set only where a team probes with beacons."""
        notify = Notify(live)
        links = Links.start(live, notify.moved)
        beacons = Beacons(live, links)
        machines = Machines(live, notify)
        beacons.start()
        return cls(links, beacons, notify, machines)
