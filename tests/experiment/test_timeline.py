"""Timelines of replays: what happens in the time of the capture, whatever the pieces and the engine; and mistakes."""

import json
import struct
from pathlib import Path
from typing import Any

import attrs
import pytest
from fabric_runs import ADDRESSES, NAMES, frame, lab

from iochain import Lab, LabError
from iochain.chain import Reason
from iochain.cli import main
from iochain.experiment.actions import LinkDown, Move
from iochain.experiment.timeline import ACTIONS, load
from iochain.replay import Fate

START_NS = 1_700_000_000 * 10**9
MS = 10**6


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A frame each 10 ms between VMs of three hosts, for two seconds."""
    path = tmp_path_factory.mktemp("timeline") / "frames.pcap"
    data = struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)
    for number in range(200):
        source, target = NAMES[number % 6], NAMES[(number * 5 + 2 + number // 6) % 6]
        made = frame(ADDRESSES[NAMES.index(target)], ADDRESSES[NAMES.index(source)], bytes(46))
        seconds, nanoseconds = divmod(START_NS + number * 10 * MS, 10**9)
        data += struct.pack("<IIII", seconds, nanoseconds, len(made), len(made)) + made
    path.write_bytes(data)
    return path


def file(folder: Path, text: str) -> str:
    path = folder / "events.yaml"
    path.write_text(text)
    return str(path)


EVENTS = """
- at: 500 ms
  link_down: a.vmnic0
- at: 2023-11-14T22:13:21Z   # one second after the first frame
  move: {vm: b1, host: c, portgroup: Prod c}
- {at: 1200 ms, cut_cable: {cable: sw1.5, toward: sw2.5}}
- {at: 1500 ms, mend_cable: sw1.5}
- {at: 1.7 s, set_mac: {vm: c0, mac: 00:50:56:00:00:99}}
"""


@pytest.mark.parametrize("engine", ["plain", "paths"])
def test_pieces_change_nothing(capture: Path, tmp_path: Path, engine: str) -> None:
    timeline = file(tmp_path, EVENTS)
    outputs = []
    for piece in (256, 1 << 20):
        output = tmp_path / f"{engine}{piece}.pcapng"
        done = lab().replay(capture, timeline=timeline, piece_bytes=piece, output=str(output), engine=engine)
        assert done.counters.generated > 0
        done.counters.check(0)
        outputs.append((output.read_bytes(), done.written, done.counters.delivered))
        assert "control event" in done.engine.windows
    assert outputs[0] == outputs[1]


def test_engines_agree_and_a_replay_can_be_run_again(capture: Path, tmp_path: Path) -> None:
    timeline = file(tmp_path, EVENTS)
    made = lab()
    fates = [list(made.replay(capture, timeline=timeline, engine=engine).fates()) for engine in ("plain", "paths")]
    assert fates[0] == fates[1]
    again = made.replay(capture, timeline=timeline)
    assert list(again.fates()) == list(again.fates()) == fates[0]


def test_what_happens(capture: Path) -> None:
    replay = lab().replay(
        capture, timeline=[("500 ms", LinkDown("a.vmnic0")), ("1 s", Move("a1", host="b", portgroup="Prod b"))]
    )
    lost = [fate for fate in replay.dropped() if fate.reason is Reason.LINK_DOWN]
    polled = -(-(START_NS + 500 * MS) // (100 * MS)) * 100 * MS
    assert all(START_NS + 500 * MS <= fate.time_ns <= polled for fate in lost)
    assert {fate.port for fate in lost} <= {"a.vmnic0"}
    assert any(fate.time_ns > START_NS + 10**9 for fate in replay.deliveries("a1"))


def test_without_cables_too(capture: Path) -> None:
    alone = Lab()
    group = alone.host("a").vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"]).portgroup("Prod", vlan=10)
    for number, name in enumerate(NAMES):
        group.vm(name, mac=ADDRESSES[number].hex(":"))
    quiet, moved = alone.replay(capture), alone.replay(capture, timeline=[("1 s", LinkDown("vmnic0"))])
    sent = [fate for fate in moved.fates() if fate.source > 0]
    assert {fate.port for fate in sent} == {"vmnic1"}  # RARP frames
    assert [fate for fate in moved.fates() if fate.source == 0] == list(quiet.fates())


def test_an_empty_timeline_changes_nothing(capture: Path, tmp_path: Path) -> None:
    empty = file(tmp_path, "\n# nothing\n")

    def told(timeline: str | None) -> list[Fate]:
        return list(lab().replay(capture, timeline=timeline).fates())

    assert told(empty) == told(None)


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("- {at: 5 s, link_down: a.vmnic7}", ['line 1  [0].link_down: there is no port "a.vmnic7"; is "a.vmnic']),
        ("- at: 5 s\n  link_don: a.vmnic0", ['line 2  [0].link_don: "link_don" is no action; is "link_down" meant?']),
        ("- at: 5 s\n  explode: x", ['"explode" is no action (at, link_down, link_up,']),
        ("- at: 5 s", ["line 1  [0]: an entry has one action, this has none (link_down,"]),
        ("- {at: 5 s, link_down: a.vmnic0, link_up: a.vmnic0}", ["this has link_down and link_up"]),
        ("- link_down: a.vmnic0", ['[0]: the key "at" is missing']),
        ("- at: soon\n  link_down: a.vmnic0", ['line 1  [0].at: "soon" is no moment (a time after the first frame']),
        ("- at: 5\n  link_down: a.vmnic0", ["line 1  [0].at: 5 is no moment"]),
        ("- {at: 2001-01-01, link_down: a.vmnic0}", ["before the first frame of the captures"]),
        ("- {at: 5 s, move: {vm: a0, hots: b}}", ['[0].move.hots: "hots" is no key of move (vm, portgroup, host)']),
        ("- {at: 5 s, move: {host: b}}", ['[0].move: the key "vm" is missing']),
        ("- {at: 5 s, move: a0}", ["a0 moves nowhere: say portgroup, host, or both"]),
        ("- {at: 5 s, set_mac: a0}", ["[0].set_mac:"]),
        ("- {at: 5 s, set_mac: {vm: a0, mac: nonsense}}", ['"nonsense" is no MAC address']),
        ("- {at: 5 s, set_mac: {vm: a0, mac: ff:ff:ff:ff:ff:ff}}", ["[0].set_mac: ff:ff:ff:ff:ff:ff is no address of"]),
        ("- {at: 5 s, link_speed: {port: a.vmnic0, speed: 0}}", ["[0].link_speed: 0 is out of range"]),
        (
            "- {at: 5 s, link_down: [a.vmnic0]}",
            ["a list stands where one name is needed, like link_down: esx01.vmnic0"],
        ),
        ("- {at: 5 s, link_down: }", ["nothing stands where one name is needed"]),
        ("- word", ['[0]: "word" stands where an entry like']),
        ("at: 5 s", ["this is no timeline; it is a list of entries"]),
        ("- {at: 5 s, link_down: a.vmnic7}\n- {at: 6 s, power_off: nobody}", ["line 1", "line 2", 'no VM "nobody"']),
        ("- {at: 5 s, at: 6 s, link_down: a.vmnic0}", ["this key is already in line 1"]),
        ("- [", ["this is no YAML"]),
    ],
)
def test_mistakes(capture: Path, tmp_path: Path, text: str, messages: list[str]) -> None:
    with pytest.raises(LabError) as wrong:
        lab().replay(capture, timeline=file(tmp_path, text))
    for message in messages:
        assert message in str(wrong.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "- at: 500 ms\n  move: {vm: a0, host: b}",
            'line 2  [0].move: there is no port group "Prod a" on b; is "Prod b" meant?',
        ),
        ("- {at: 500 ms, reopen: sw1.1}", "line 1  [0].reopen: sw1.1 is not err-disabled"),
    ],
)
def test_what_the_lab_cannot_do_when_the_time_has_come(capture: Path, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(LabError) as wrong:
        lab().replay(capture, timeline=file(tmp_path, text))
    assert str(wrong.value) == f"{tmp_path / 'events.yaml'}: 1 mistake\n  {message}"


def test_every_action_can_be_said(tmp_path: Path) -> None:
    values = {"mac": "00:50:56:00:00:99", "speed": "1 Gbit/s", "host": "b"}
    text = ""
    for name, action in ACTIONS.items():
        kind: Any = action
        needed = [one.name for one in attrs.fields(kind) if one.default is attrs.NOTHING]
        text += f"- {{at: 1 s, {name}: {{{', '.join(f'{one}: {values.get(one, one)}' for one in needed)}}}}}\n"
    assert len(load(file(tmp_path, text)).happenings) == len(ACTIONS)


def test_the_command_line(capture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text(json.dumps(lab().data))
    words = ["replay", str(capture), "--lab", str(path), "--timeline"]
    assert main([*words, file(tmp_path, EVENTS), "--json"]) == 0
    assert "control event" in json.dumps(json.loads(capsys.readouterr().out)["engine"])
    assert main([*words, str(tmp_path / "no")]) == 2
    assert "the file cannot be read" in capsys.readouterr().err
