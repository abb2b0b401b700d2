"""A machine that plays with a lab: it sends, waits, powers, moves, cuts and changes settings, and looks at each frame.

Subclass it, as with any machine of Hypothesis, and let pytest run its ``TestCase``. A run that fails shows the Python
script that repeats it, without Hypothesis.
"""

import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from iochain.experiment.actions import CutCable, LinkDown, LinkUp, MendCable, Move, PowerOff, PowerOn
from iochain.lab import Lab
from iochain.testing.configurations import labs
from iochain.testing.events import GAPS_NS, changes, sends
from iochain.testing.invariants import Invariant, conservation, isolation, no_echo, one_copy
from iochain.testing.played import Send
from iochain.testing.sentences import CheckedNet, Sent
from iochain.topology.mistakes import LabError

_PUBLIC: Final = "iochain.testing"
_ACTIONS: Final = "iochain.experiment.actions"


def drawn(make: Callable[[Any], st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """A strategy that depends on the machine as it is."""
    return st.runner().flatmap(make)


class LabMachine(RuleBasedStateMachine):
    """Draws a lab of ``labs`` and plays with it; after each frame everything of ``must_hold`` has to hold.

    To change chains, override :meth:`prepare`; to look at frames in ways of your own, add functions to ``must_hold``.
    Events happen while the network runs; a change of a setting starts it anew.
    """

    labs: ClassVar[st.SearchStrategy[Lab]] = labs()
    must_hold: ClassVar[Sequence[Invariant]] = (conservation, isolation, no_echo, one_copy)

    lab: Lab
    net: CheckedNet

    def __init__(self) -> None:
        super().__init__()
        self.script: list[str] = []
        self.imports: dict[str, set[str]] = {"iochain": {"Lab"}, _PUBLIC: {"CheckedNet"}}
        self.files: dict[str, set[str]] = {}

    @staticmethod
    def prepare(lab: Lab) -> None:
        """Change a lab that was drawn: its chains, for example."""

    @initialize(lab=drawn(lambda machine: machine.labs))
    def start(self, lab: Lab) -> None:
        """The lab is started."""
        self.lab = lab
        self.script.append(f"lab = {lab!r}")
        if type(self).prepare is not LabMachine.prepare:
            self.script.append(f"{self._named(type(self))}.prepare(lab)")
            self.prepare(lab)
        self._say("net = CheckedNet(lab.start())")
        self.net = CheckedNet(lab.start())

    # -- rules

    @precondition(lambda machine: machine.net.wiring.ports)
    @rule(event=drawn(lambda machine: sends(machine.net.wiring)))
    def send(self, event: Send) -> None:
        """A frame is sent at a port, and looked at."""
        self.imports[_PUBLIC].add("FrameBytes")
        self._say(f"sent = net.send({event.frame!r}, at={event.at!r})")
        self.look(self.net.send(event.frame, event.at))

    @precondition(lambda machine: machine.net.wiring.ports)
    @rule(events=drawn(lambda machine: st.lists(sends(machine.net.wiring), min_size=2, max_size=6)))
    def send_several(self, events: list[Send]) -> None:
        """Some frames, one after the other."""
        for event in events:
            self.send(event)

    @rule(ns=st.sampled_from(GAPS_NS[1:]))
    def wait(self, ns: int) -> None:
        """Time passes."""
        until = self.net.now_ns + ns
        self._say(f"net.run(until={until})")
        self.net.run(until)

    @precondition(lambda machine: machine.vms)
    @rule(vm=drawn(lambda machine: st.sampled_from(machine.vms)), on=st.booleans())
    def power(self, vm: str, on: bool) -> None:
        """A VM is powered on or off."""
        self._do(PowerOn(vm) if on else PowerOff(vm))

    @precondition(lambda machine: machine.vms and machine.portgroups)
    @rule(
        vm=drawn(lambda machine: st.sampled_from(machine.vms)),
        portgroup=drawn(lambda machine: st.sampled_from(machine.portgroups)),
        host=drawn(lambda machine: st.none() | st.sampled_from(machine.hosts)),
    )
    def move(self, vm: str, portgroup: str, host: str | None) -> None:
        """A VM moves to another port group, or host."""
        self._do(Move(vm, portgroup, host))

    @precondition(lambda machine: machine.uplinks)
    @rule(uplink=drawn(lambda machine: st.sampled_from(machine.uplinks)), whole=st.booleans())
    def cut(self, uplink: str, whole: bool) -> None:
        """An uplink loses its link, or has it again."""
        self._do(LinkUp(uplink) if whole else LinkDown(uplink))

    @precondition(lambda machine: machine.cables)
    @rule(cable=drawn(lambda machine: st.sampled_from(machine.cables)), whole=st.booleans())
    def cut_cable(self, cable: str, whole: bool) -> None:
        """A cable is cut, or whole again."""
        self._do(MendCable(cable) if whole else CutCable(cable))

    @rule(setting=drawn(lambda machine: changes(machine.lab)))
    def change(self, setting: str) -> None:
        """A setting of the lab is changed, and it starts anew; what the lab cannot be is passed over."""
        try:
            changed = self.lab.with_settings([setting])
            net = CheckedNet(changed.start())
        except (LabError, ValueError):
            return
        self.net.stop()
        self.lab, self.net = changed, net
        self._say(f"lab = lab.with_settings([{setting!r}])", "net = CheckedNet(lab.start())")

    # -- what there is to play with

    @property
    def vms(self) -> list[str]:
        """The VMs by name."""
        return list(self.net.wiring.spec.vms)

    @property
    def hosts(self) -> list[str]:
        """The hosts by name."""
        return list(self.net.wiring.spec.hosts)

    @property
    def portgroups(self) -> list[str]:
        """The port groups of all hosts by name."""
        return sorted({team.portgroup for team in self.net.wiring.teams()})

    @property
    def uplinks(self) -> list[str]:
        """The uplinks by name."""
        return [port.name for port in self.net.wiring.ports if port.uplink]

    @property
    def cables(self) -> list[str]:
        """The cables by name."""
        return [cable.name for cable in self.net.wiring.cables]

    # -- looking, and telling

    def look(self, sent: Sent) -> None:
        """Hold a frame to all that must hold."""
        for invariant in type(self).must_hold:
            self.script.append(f"{self._named(invariant)}(sent)")
            invariant(sent)
            self.script.pop()

    def teardown(self) -> None:
        """The network stops; a failure is told with the script that repeats it."""
        failure = sys.exc_info()[1]
        if isinstance(failure, Exception) and self.script:
            failure.add_note(f"This script repeats it:\n\n{self.text}")
        if hasattr(self, "net"):
            self.net.stop()

    @property
    def text(self) -> str:
        """The script of the run so far."""
        lines = ["import sys", "from runpy import run_path", ""] if self.files else []
        lines += [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(self.imports.items())]
        for file, names in sorted(self.files.items()):
            lines += ["", f"sys.path.insert(0, {str(Path(file).parent)!r})", f"theirs = run_path({file!r})"]
            lines += [f"{name} = theirs[{name!r}]" for name in sorted(names)]
        return "\n".join([*lines, "", *self.script]) + "\n"

    # -- inside

    def _say(self, *lines: str) -> None:
        self.script += lines

    def _do(self, action: Any) -> None:
        """Something happens now; what cannot be done in this lab is passed over."""
        self.imports.setdefault(_ACTIONS, set()).add(type(action).__name__)
        self._say(f"net.do({action!r})")
        try:
            self.net.do(action)
        except (LookupError, ValueError):
            self.script[-1] = f"# {self.script[-1]} cannot be done"

    def _named(self, thing: Any) -> str:
        """How the script calls a function or class; from now on it imports it."""
        name, module = str(thing.__qualname__), str(thing.__module__)
        if module.startswith(f"{_PUBLIC}."):
            self.imports[_PUBLIC].add(name)
        else:
            self.files.setdefault(inspect.getfile(thing), set()).add(name.partition(".")[0])
        return name
