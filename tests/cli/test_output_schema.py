import json
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest
from command_lines import CAPTURE, LAB, ROOT, ethernet, pcap, run

SCHEMA = json.loads((ROOT / "docs" / "output-schema.json").read_text(encoding="utf-8"))
FORGED = "Ether(src='00:50:56:00:00:09', dst='00:50:56:00:00:02')"


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay", CAPTURE, "--lab", LAB],
        ["replay", CAPTURE, "--lab", LAB, "--set", "portgroup.Prod.vlan=20", "--at", "db"],
        ["replay", "pcaps/iperf3-superframes.pcap", "--lab", "pcaps/iperf3-superframes.lab.yaml"],
        ["replay", CAPTURE],
        ["explain", f"{CAPTURE}#17", "--lab", LAB, "--expect", "db"],
        ["explain", "--frame", FORGED, "--at", "web", "--lab", LAB],
        ["lab", "check", LAB, "tests/cli/golden/mistakes.lab.yaml", "gone.yaml"],
        ["lab", "show", "pcaps/two-hosts-uplink.lab.yaml"],
        ["lab", "effective", LAB, "Prod", "--set", "portgroup.Prod.shaping.average=5 Mbit/s"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_documents_are_as_the_schema_says(arguments: list[str]) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(run(*arguments, "--json").out))


def test_a_document_of_bad_captures(tmp_path: Path) -> None:
    cut = pcap(tmp_path / "cut.pcap", [(0, ethernet()), (5, b"short")])
    cut.write_bytes(cut.read_bytes()[:-1])
    raw = pcap(tmp_path / "raw.pcap", [(0, ethernet())], link_type=101)
    out = str(tmp_path / "out.pcapng")
    document = json.loads(run("replay", str(cut), str(raw), "--lab", LAB, "--json", "-o", out).out)
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    assert document["captures"][0]["ending"] == {
        "kind": "cut short",
        "frame": 1,
        "byte_offset": 100,
        "text": "cut short after frame 1, at byte 100",
    }
