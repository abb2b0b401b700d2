"""The engine that the environment names."""

from pathlib import Path

import pytest

from iochain.cli import main

PCAPS = Path(__file__).parents[2] / "pcaps"


def test_an_unknown_engine_is_told_as_a_mistake(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IOCHAIN_ENGINE", "fast")
    code = main(["replay", str(PCAPS / "dhcp.pcap"), "--lab", str(PCAPS / "dhcp.lab.yaml")])
    assert code == 2
    assert 'IOCHAIN_ENGINE in the environment is "fast"; engines are plain, paths, auto' in capsys.readouterr().err


@pytest.mark.parametrize("engine", ["plain", "paths", "auto"])
def test_each_engine_gives_the_same_summary(
    engine: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    for chosen in (engine, "plain"):
        monkeypatch.setenv("IOCHAIN_ENGINE", chosen)
        assert main(["replay", str(PCAPS / "guest-bridge.pcap"), "--lab", str(PCAPS / "guest-bridge.lab.yaml")]) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
