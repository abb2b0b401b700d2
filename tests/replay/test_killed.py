"""A replay that is killed leaves outputs that are whole up to their last block: tshark reads all that is there.

The moments are chosen by chance with seeds that are named: how much of the capture the process has got, and how long
after that it is killed.
"""

import json
import random
import re
import shutil
import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tshark_view import TSHARK, needs_tshark

from iochain import Lab

FRAMES = 12_000
FRAME_BYTES = 1514
RECORD_BYTES = 16
MACS = {"web": "00:50:56:00:00:01", "db": "00:50:56:00:00:02"}
LONGEST_WAIT_S = 0.05
PACKET_BLOCK = 6
CUT_SHORT = re.compile(r"appears to have been cut short in the middle of a packet")
OF_PCAPNG, OF_FOLDER = range(10), range(10, 20)

pytestmark = [needs_tshark, pytest.mark.tshark]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a lab of two VMs; half of the frames of web go to db, half outside."""
    folder = tmp_path_factory.mktemp("killed")
    lab = Lab()
    prod = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod", vlan=10)
    for name, mac in MACS.items():
        prod.vm(name, mac=mac)
    (folder / "lab.json").write_text(json.dumps(lab.data), encoding="utf-8")  # JSON is YAML
    return folder


def capture() -> bytes:
    """A pcap of long frames, half to db and half to the world outside."""
    made = [struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)]
    ends = [bytes.fromhex(mac.replace(":", "")) for mac in (MACS["db"], "02:00:00:00:00:fe")]
    source = bytes.fromhex(MACS["web"].replace(":", ""))
    for number in range(FRAMES):
        made.append(struct.pack("<IIII", 1_700_000_000, number * 2000, FRAME_BYTES, FRAME_BYTES))
        made.append((ends[number % 2] + source + b"\x88\xb5" + struct.pack("<I", number)).ljust(FRAME_BYTES, b"\0"))
    return b"".join(made)


CAPTURE = capture()


def killed(lab: Path, output: str, seed: int) -> None:
    """Run a replay that reads from a pipe, and kill it at a moment that the seed says."""
    chance = random.Random(seed)
    command = [sys.executable, "-m", "iochain.cli", "replay", "-", "--lab", str(lab), "-o", output, "--engine=paths"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stderr is not None
    try:
        process.stdin.write(CAPTURE[: chance.randrange(len(CAPTURE) // 8, len(CAPTURE))])
        process.stdin.flush()
        time.sleep(chance.random() * LONGEST_WAIT_S)
        assert process.poll() is None, "it ended before it was killed"
    except BrokenPipeError:
        pytest.fail(process.stderr.read().decode())
    finally:
        process.kill()
        process.wait(60)
        process.stderr.close()
        with suppress(BrokenPipeError):
            process.stdin.close()


def frames_in(path: Path) -> int:
    """How many frames tshark reads; it may say that the last one is cut short, and nothing else."""
    command = [str(TSHARK), "-n", "-r", str(path), "-T", "fields", "-e", "frame.number"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    said = [line for line in done.stderr.splitlines() if line and "could be dangerous" not in line]
    assert all(CUT_SHORT.search(line) for line in said), done.stderr
    assert bool(said) == (done.returncode != 0)
    return len(done.stdout.splitlines())


def whole_blocks(data: bytes) -> int:
    """How many packet blocks of a pcapng are whole, and that what stands before its end are blocks."""
    at = count = 0
    while at + 12 <= len(data):
        kind, size = struct.unpack_from("<II", data, at)
        assert size % 4 == 0
        if at + size > len(data):
            break
        assert struct.unpack_from("<I", data, at + size - 4) == (size,)
        count += kind == PACKET_BLOCK
        at += size
    return count


def whole_records(data: bytes) -> int:
    """How many records of a pcap are whole."""
    at, count = 24, 0
    while at + RECORD_BYTES <= len(data):
        at += RECORD_BYTES + int(struct.unpack_from("<I", data, at + 8)[0])
        count += at <= len(data)
    return count


met: list[int] = []


@pytest.mark.parametrize("seed", OF_PCAPNG)
def test_a_pcapng(seed: int, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.pcapng"
    killed(folder / "lab.json", str(output), seed)
    if output.exists():
        met.append(frames_in(output))
        assert met[-1] == whole_blocks(output.read_bytes())
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("seed", OF_FOLDER)
def test_a_folder_of_pcaps(seed: int, folder: Path, tmp_path: Path) -> None:
    killed(folder / "lab.json", f"{tmp_path / 'out'}/", seed)
    for output in (tmp_path / "out").glob("*"):
        met.append(frames_in(output))
        assert met[-1] == whole_records(output.read_bytes())
    shutil.rmtree(tmp_path)


def test_most_moments_were_in_the_midst_of_writing() -> None:
    if len(met) < len(OF_PCAPNG):
        pytest.skip("the other tests did not run here")
    assert sum(0 < frames < FRAMES for frames in met) > len(met) / 2
