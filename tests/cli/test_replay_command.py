import json
import sys
from pathlib import Path

import pytest
from command_lines import CAPTURE, DB, LAB, ROOT, START_NS, WEB, ethernet, pcap, run

from iochain.capture import read_captures


def frames_in(path: Path) -> int:
    with read_captures([path]) as reader:
        return sum(len(piece.batch) for piece in reader)


def joined(text: str) -> str:
    """A text without its line breaks."""
    return " ".join(text.split())


def test_drops_stand_apart_from_copies_refused_by_design(tmp_path: Path) -> None:
    forged = ethernet(source=bytes.fromhex("02000000aaaa"))
    flood = ethernet(destination=bytes.fromhex("01005e000001"))
    capture = pcap(tmp_path / "a.pcap", [(0, forged), (1, flood), (2, flood)])
    settings = ["--set", "vm.db.groups=[]", "--set", "portgroup.Monitor.promiscuous=reject"]
    ran = run("replay", str(capture), "--lab", LAB, "--at", "web", *settings)
    assert "Drops: 1 frame\n" in ran.out
    drops, _, refused = ran.out.partition("Copies that ports did not take, by design: 2 frames\n")
    assert "web → vSwitch0  forged transmits" in drops
    assert "forged_transmits reject from default of ESXi 8.0" in joined(drops)
    assert "receive filter" in refused
    assert "receive filter" not in drops


def test_only_drops_are_written(tmp_path: Path) -> None:
    capture = pcap(tmp_path / "a.pcap", [(0, ethernet()), (1, ethernet(source=DB)), (2, ethernet())])
    out = tmp_path / "out.pcapng"
    ran = run("replay", str(capture), "--lab", LAB, "--at", "web", "--only", "drops", "-o", str(out))
    assert ran.code == 0
    assert "Entered" not in ran.out
    assert frames_in(out) == 1


@pytest.mark.parametrize(
    ("options", "frames"),
    [
        ([], 4),
        (["--from", "1 s"], 3),
        (["--from", "1s", "--to", "2.5 s"], 2),
        (["--from", "2023-11-14T22:13:21Z"], 3),
        (["--from", "2023-11-14T23:13:21.000000001+01:00"], 2),
        (["--to", "2023-11-15"], 4),
        (["--limit", "3"], 3),
    ],
)
def test_a_part_of_a_capture(tmp_path: Path, options: list[str], frames: int) -> None:
    capture = pcap(tmp_path / "a.pcap", [(second * 10**9, ethernet()) for second in range(4)])
    document = json.loads(run("replay", str(capture), "--lab", LAB, "--json", *options).out)
    assert document["counts"]["entered"] == frames


def test_points_and_a_folder(tmp_path: Path) -> None:
    capture = pcap(tmp_path / "a.pcap", [(0, ethernet())])
    out = f"{tmp_path / 'folder'}/"
    ran = run("replay", str(capture), "--lab", LAB, "-o", out, "--points", "entered, delivered")
    assert ran.code == 0
    assert frames_in(tmp_path / "folder" / "web.pcap") == 1
    assert frames_in(tmp_path / "folder" / "db.pcap") == 1


def test_a_cut_capture_is_a_note_and_a_damaged_one_an_exit_code(tmp_path: Path) -> None:
    whole = pcap(tmp_path / "a.pcap", [(0, ethernet()), (1, ethernet())]).read_bytes()
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(whole[:-10])
    ran = run("replay", str(cut), "--lab", LAB)
    assert ran.code == 0
    assert "cut short after frame 1, at byte 100" in joined(ran.out)
    damaged = tmp_path / "damaged.pcap"
    damaged.write_bytes(whole + b"\xff" * 40)
    out = tmp_path / "out.pcapng"
    ran = run("replay", str(damaged), "--lab", LAB, "-o", str(out))
    assert ran.code == 2
    assert "damaged at byte 176" in joined(ran.out)
    assert "2 frames entered" in ran.out
    assert frames_in(out) == 4  # two copies of each, one for the promiscuous port


def test_what_was_passed_over_is_said(tmp_path: Path) -> None:
    raw = pcap(tmp_path / "raw.pcap", [(0, b"\x45" * 20)], link_type=101)
    odd = pcap(tmp_path / "odd.pcap", [(10, ethernet()), (0, ethernet()), (20, b"short")])
    ran = run("replay", str(raw), str(odd), "--lab", LAB)
    said = joined(ran.out)
    assert "raw.pcap: 1 frame passed over that is no Ethernet" in said
    assert "1 frame passed over with fewer than 14 bytes" in said
    assert "1 frame had a time before that of a frame before, by 10 ns at most" in said


def test_silent_ports_are_counted(tmp_path: Path) -> None:
    capture = pcap(tmp_path / "a.pcap", [(0, ethernet())])
    settings = ["--set", "portgroup.Monitor.promiscuous=reject"]
    assert "1 port without traffic" in run("replay", str(capture), "--lab", LAB, *settings).out
    assert "sniffer" in run("replay", str(capture), "--lab", LAB, *settings, "--all-ports").out


def test_without_a_lab_one_is_inferred() -> None:
    ran = run("replay", CAPTURE)
    assert ran.code == 0
    assert "No lab was given; this one was inferred" in ran.out
    assert "393 frames entered" in ran.out


def test_text_and_document_agree_and_nothing_is_longer_than_a_page() -> None:
    document = json.loads(run("replay", CAPTURE, "--lab", LAB, "--json").out)
    text = run("replay", CAPTURE, "--lab", LAB).out
    assert f"{document['counts']['delivered']} delivered" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-o", CAPTURE], "would overwrite a file that is read"),
        (["-o", "-", "--json"], "both write to standard output"),
        (["--only", "drops", "--points", "dropped", "-o", "x/"], "give one of them"),
        (["--points", "dropped"], "give -o too"),
        (["--points", "gone", "-o", "x/"], '"gone" is no point'),
        (["--from", "tomorrow"], '"tomorrow" is no moment'),
        (["--from", "5"], "5 is no moment"),
        (["--to", "2023-02-30"], "day is out of range"),
        (["--from", "1.5 ns"], "no whole number of ns"),
        (["--at", "wbe"], 'there is no port "wbe"; is "web" meant?'),
        (["-o", "/nowhere/at/all.pcapng"], "cannot be written"),
    ],
)
def test_options_that_cannot_be(options: list[str], said: str) -> None:
    before = (ROOT / CAPTURE).read_bytes()
    ran = run("replay", CAPTURE, "--lab", LAB, *options)
    assert ran.code == 2
    assert said in ran.err
    assert (ROOT / CAPTURE).read_bytes() == before


def test_a_fault_of_ours_says_how_to_report_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("gone")

    monkeypatch.setattr("iochain.cli.options.open_lab", broken)
    ran = run("replay", CAPTURE, "--lab", LAB)
    assert ran.code == 3
    assert "IOCHAIN_TRACEBACK=1" in ran.err
    monkeypatch.setenv("IOCHAIN_TRACEBACK", "1")
    with pytest.raises(KeyError):
        run("replay", CAPTURE, "--lab", LAB)


def test_an_interrupt_has_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("iochain.cli.options.open_lab", interrupted)
    assert run("replay", CAPTURE, "--lab", LAB).code == 130


def test_progress_is_shown_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from iochain.cli.progress import ShownProgress

    with ShownProgress(started=-1000.0) as progress:
        progress(1, 2, 3)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with ShownProgress(started=-1000.0) as progress:
        progress(1, 2, 3)
        progress(2, None, 30)
    assert "frames" in capsys.readouterr().err


def test_times_in_the_document_are_whole_nanoseconds(tmp_path: Path) -> None:
    capture = pcap(tmp_path / "a.pcap", [(7, ethernet(WEB, DB))])
    document = json.loads(run("replay", str(capture), "--lab", LAB, "--json").out)
    assert document["first_ns"] == START_NS + 7
