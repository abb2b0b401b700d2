"""Machines that play with a lab: all that happens is possible, and a failure can be repeated by the script it shows."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from iochain import Frame, Lab, Port, Ports, Verdict
from iochain.testing import CheckedNet, FrameBytes, Invariant, LabMachine, Sent, conservation, isolation, no_echo
from iochain.testing import one_copy as no_second_copy

playing = settings(
    max_examples=25,
    stateful_step_count=12,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


class Plays(LabMachine):
    """A machine that tells what it did."""

    done: ClassVar[Counter[str]] = Counter()

    def look(self, sent: Sent) -> None:
        """Count what became of frames."""
        self.done["delivered" if sent.outcome.deliveries else "dropped"] += 1
        super().look(sent)

    def teardown(self) -> None:
        """Count what was done."""
        for line in self.script:
            called = re.match(r"(?:\w+ = )?([\w.]+(?:\([A-Z]\w+\()?)", line)
            self.done[called[1] if called else "nothing"] += 1
        super().teardown()


def test_a_machine_plays_with_labs_and_everything_holds() -> None:
    Plays.done.clear()
    run_state_machine_as_test(Plays, settings=playing)
    for what in ("delivered", "dropped", "net.run", "net.do(PowerOff(", "net.do(LinkDown(", "lab.with_settings"):
        assert Plays.done[what], f"{what} never happened: {dict(Plays.done)}"


# -- labs with a fault in them


def small_lab() -> Lab:
    """Two VMs."""
    lab = Lab()
    group = lab.host("esx1").vswitch("vSwitch0").portgroup("Prod")
    for name in ("vm0", "vm1"):
        group.vm(name)
    return lab


SMALL = st.builds(small_lab)


def echo(frame: Frame, port: Port) -> Verdict:
    """Sends group frames back to their own sender."""
    return Ports((port.name,)) if frame.destination.is_group else frame


class Echoes(LabMachine):
    """A lab whose ports echo."""

    labs = SMALL

    @staticmethod
    def prepare(lab: Lab) -> None:
        """Put the fault in."""
        for port in lab.wiring.ports:
            lab.port(port.name).input.insert(echo)


def never_long(sent: Sent) -> None:
    """A rule of one's own: no frame of more than 60 bytes is delivered."""
    if len(sent.frame) > 60 and sent.outcome.deliveries:
        raise AssertionError(f"{len(sent.frame)} bytes were delivered at {sent.outcome.ports[0]}")


class OwnRule(LabMachine):
    """Plain labs, and a rule that does not hold."""

    labs = SMALL
    must_hold = (*LabMachine.must_hold, never_long)


def breaks(frame: Frame, port: Port) -> Verdict:
    """Is at fault for one kind of frame."""
    return None if frame.destination.is_group else frame  # type: ignore[return-value]


class Faulty(LabMachine):
    """A lab with a stage that breaks its contract."""

    labs = SMALL

    @staticmethod
    def prepare(lab: Lab) -> None:
        """Put the fault in."""
        lab.port(lab.wiring.ports[0].name).input.insert(breaks)


@pytest.mark.parametrize(
    ("machine", "said", "last"),
    [
        (Echoes, "came back to its own port", "no_echo(sent)"),
        (OwnRule, "bytes were delivered at", "never_long(sent)"),
        (Faulty, "stage 'breaks' at vm0", "sent = net.send("),
    ],
)
def test_a_failure_shows_the_script_that_repeats_it(
    machine: type[LabMachine], said: str, last: str, tmp_path: Path
) -> None:
    with pytest.raises(Exception, match=said) as failure:
        run_state_machine_as_test(machine, settings=settings(playing, max_examples=200))
    script = script_of(failure.value)
    assert script.splitlines()[-1].startswith(last)
    path = tmp_path / "repeat.py"
    path.write_text(script, encoding="utf-8")
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    error = str(failure.value).splitlines()[0]
    assert error in done.stderr


def script_of(failure: BaseException) -> str:
    (note,) = [note for note in failure.__notes__ if note.startswith("This script repeats it:")]
    return note.partition("\n\n")[2]


def test_a_script_is_plain_where_nothing_of_the_users_own_is_in_it() -> None:
    machine = LabMachine()
    machine.start(Lab("8.0", **TWO))
    machine.power("web", on=False)
    machine.move("nobody", "Prod", None)
    assert machine.text == (
        "from iochain import Lab\n"
        "from iochain.experiment.actions import Move, PowerOff\n"
        "from iochain.testing import CheckedNet\n\n"
        f"lab = {Lab('8.0', **TWO)!r}\n"
        "net = CheckedNet(lab.start())\n"
        "net.do(PowerOff(vm='web'))\n"
        "# net.do(Move(vm='nobody', portgroup='Prod', host=None)) cannot be done\n"
    )
    machine.teardown()


# -- the invariants one by one: each is blind for what it is not about, and sees what it is about


TWO: dict[str, Any] = {
    "hosts": {
        "esx1": {
            "vswitches": {
                "vSwitch0": {
                    "uplinks": ["vmnic0", "vmnic1"],
                    "forged_transmits": "accept",
                    "portgroups": {"Prod": {"vlan": 10}, "Other": {"vlan": 20}, "Trunk": {"vlan": 4095}},
                },
                "vSwitch1": {"portgroups": {"Beside": {"vlan": 10}}},
            }
        }
    },
    "vms": {
        "web": {"network": "Prod"},
        "db": {"network": "Prod"},
        "far": {"network": "Other"},
        "trunk": {"network": "Trunk"},
        "beside": {"network": "Beside"},
    },
}
BROADCAST = "ffffffffffff 005056000001 "


def sent_through(stage: Callable[[Frame, Port], Verdict], frame: str, at: str = "web", *, clear: str = "") -> Sent:
    """A frame, with a stage of one's own in front of the switch; the output chain of a port may be cleared."""
    lab = Lab("8.0", **TWO)
    lab.port(at).input.insert(stage, name="mine")
    if clear:
        for name in list(lab.port(clear).output.names):
            lab.port(clear).output.remove(name)
    return CheckedNet(lab.start()).send(FrameBytes.of(frame), at=at)


def lets_pass(frame: Frame, port: Port) -> Verdict:
    """As it was."""
    return frame


@pytest.mark.parametrize("frame", [BROADCAST + "88b5", BROADCAST + "81000014 88b5", "005056000002 005056000001 88b5"])
@pytest.mark.parametrize("at", ["web", "far", "trunk", "vmnic0"])
@pytest.mark.parametrize("invariant", LabMachine.must_hold)
def test_a_sound_lab_breaks_no_invariant(invariant: Invariant, frame: str, at: str) -> None:
    invariant(sent_through(lets_pass, frame, at))


def to(*ports: str, tag: int | None = None) -> Callable[[Frame, Port], Verdict]:
    """A stage that sends everything there."""
    return lambda frame, port: Ports(ports, tag=tag)


@pytest.mark.parametrize(
    ("invariant", "ports", "at", "cleared", "said"),
    [
        (isolation, ("far",), "web", "far", "left VLAN 10: a copy reached far in VLAN 20"),
        (isolation, ("beside",), "web", "beside", "left its switch: a copy reached beside of vSwitch1"),
        (no_echo, ("web",), "web", "web", "came back to its own port web"),
        (no_echo, ("vmnic1",), "vmnic0", "vmnic1", "went from uplink to uplink: a copy reached vmnic1"),
    ],
)
def test_invariants_see_what_they_are_about(
    invariant: Invariant, ports: tuple[str, ...], at: str, cleared: str, said: str
) -> None:
    sent = sent_through(to(*ports), BROADCAST + "88b5", at, clear=cleared)
    with pytest.raises(AssertionError, match=said):
        invariant(sent)


def test_a_tag_that_changed_on_the_way_is_seen() -> None:
    sent = sent_through(to("trunk", tag=20), BROADCAST + "88b5", clear="trunk")
    with pytest.raises(AssertionError, match="left VLAN 10: a copy reached trunk in VLAN 20"):
        isolation(sent)


def test_copies_that_vanish_or_come_twice_are_seen() -> None:
    import attrs

    sent = sent_through(lets_pass, BROADCAST + "88b5")
    doubled = attrs.evolve(sent.outcome, deliveries=sent.outcome.deliveries * 2)
    with pytest.raises(AssertionError, match="2 times"):
        no_second_copy(attrs.evolve(sent, outcome=doubled))
    with pytest.raises(AssertionError, match="was not conserved"):
        conservation(attrs.evolve(sent, outcome=doubled))
    with pytest.raises(AssertionError, match="was not conserved"):
        conservation(attrs.evolve(sent, counted={**sent.counted, "delivered": 1}))


def test_what_rules_draw_is_of_the_lab() -> None:
    machine = LabMachine()
    machine.start(Lab("8.0", **TWO))
    assert machine.vms == ["web", "db", "far", "trunk", "beside"]
    assert machine.portgroups == ["Beside", "Other", "Prod", "Trunk"]
    assert machine.uplinks == ["vmnic0", "vmnic1"]
    assert machine.cables == []
    assert isinstance(type(machine).labs, st.SearchStrategy)
    machine.teardown()
