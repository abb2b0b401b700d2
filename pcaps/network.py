"""Network namespaces that stand for VMs, a switch and an outside host, joined by veth pairs; all gone at the end."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

PROGRAMS = Path(__file__).with_name("programs.py")
PATIENCE_S = 30
_PREFIX = "iochain-"
_OFFLOADS = ("tx", "off", "tso", "off", "gso", "off", "gro", "off")


class RecordingError(Exception):
    """A command did not do its part; the text says which, and what it answered."""


class Network:
    """Namespaces, the cables between them, and the programs that run in them. Leaving the block removes all."""

    def __init__(self) -> None:
        self._namespaces: list[str] = []
        self._processes: list[subprocess.Popen[str]] = []
        self._folder = tempfile.TemporaryDirectory(prefix="iochain-")
        self.folder = Path(self._folder.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in reversed(self._processes):
            stop(process)
        for namespace in self._namespaces:
            subprocess.run(["ip", "netns", "delete", _PREFIX + namespace], check=False, timeout=PATIENCE_S)
        self._folder.cleanup()

    def namespace(self, name: str, *, ipv6: bool = False) -> None:
        """A machine's own network, silent until something is run in it: no IPv6 unless asked for."""
        _call("ip", "netns", "add", _PREFIX + name)
        self._namespaces.append(name)
        for scope in ("all", "default"):
            self.sysctl(name, f"ipv6/conf/{scope}/disable_ipv6", "0" if ipv6 else "1")
        self.run(name, "ip", "link", "set", "lo", "up")

    def sysctl(self, namespace: str, key: str, value: str) -> None:
        """Set one of /proc/sys/net."""
        self.run(namespace, "sh", "-c", f"echo {value} > /proc/sys/net/{key}")

    def bridge(self, namespace: str, name: str = "br0", *, stp: bool = False, mac: str | None = None) -> None:
        """A Linux bridge that floods multicast as a plain switch does; with STP, hellos go out every second."""
        timers = ("forward_delay", "200", "hello_time", "100", "stp_state", "1") if stp else ("forward_delay", "0")
        address = ("address", mac) if mac else ()
        self.run(
            namespace, "ip", "link", "add", "name", name, *address, "type", "bridge", *timers, "mcast_snooping", "0"
        )
        self.run(namespace, "ip", "link", "set", name, "up")

    def cable(self, switch: str, port: str, machine: str, *, mac: str, nic: str = "eth0", bridge: str = "br0") -> None:
        """A veth pair: ``port`` of the bridge (none if the name is empty), ``nic`` of the machine. The NIC stays down.

        Offloads are off on both ends, so checksums are whole and no frame is longer than the MTU allows.
        """
        near, far = _PREFIX + switch, _PREFIX + machine
        _call(
            *("ip", "link", "add", "name", port, "netns", near, "type", "veth"),
            *("peer", "name", nic, "netns", far, "address", mac),
        )
        self.run(switch, "ethtool", "-K", port, *_OFFLOADS)
        self.run(machine, "ethtool", "-K", nic, *_OFFLOADS)
        if bridge:
            self.run(switch, "ip", "link", "set", port, "master", bridge)
        self.run(switch, "ip", "link", "set", port, "up")

    def offloads_on(self, switch: str, port: str, machine: str, nic: str = "eth0") -> None:
        """Let segmentation and checksums be somebody else's work, as a virtual NIC with TSO does."""
        for namespace, interface in ((switch, port), (machine, nic)):
            self.run(namespace, "ethtool", "-K", interface, *("on" if word == "off" else word for word in _OFFLOADS))

    def machine(
        self, name: str, mac: str, *addresses: str, switch: str = "switch", bridge: str = "br0", up: bool = True
    ) -> None:
        """A namespace with one NIC ``eth0`` at the switch's port of the machine's name.

        IPv6 is on if one of the addresses is IPv6. Duplicate address detection and router solicitations are left out;
        a recording that is about them calls :meth:`namespace` and :meth:`cable` itself.
        """
        self.namespace(name, ipv6=any(":" in address for address in addresses))
        self.sysctl(name, "ipv6/conf/default/accept_dad", "0")
        self.sysctl(name, "ipv6/conf/default/router_solicitations", "0")
        self.cable(switch, name, name, mac=mac, bridge=bridge)
        for address in addresses:
            self.run(name, "ip", "address", "add", address, "dev", "eth0")
        if up:
            self.run(name, "ip", "link", "set", "eth0", "up")

    def run(self, namespace: str, *command: str, may_fail: bool = False) -> str:
        """What the command says on its standard output. Raises :exc:`RecordingError` if it fails, or takes too long."""
        return _call("ip", "netns", "exec", _PREFIX + namespace, *command, may_fail=may_fail)

    def start(self, namespace: str, *command: str) -> "Running":
        """Run a command beside what follows; it is stopped at the end at the latest."""
        log = (self.folder / f"log-{len(self._processes)}").open("w+")
        process = subprocess.Popen(
            ["ip", "netns", "exec", _PREFIX + namespace, *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            text=True,
        )
        self._processes.append(process)
        return Running(process, Path(log.name))

    def program(self, namespace: str, *arguments: str) -> "Running":
        """Start one of the small programs of programs.py."""
        return self.start(namespace, sys.executable, str(PROGRAMS), *arguments)

    def wait_for_port(self, namespace: str, port: int) -> None:
        """Wait until something in the namespace listens on the TCP or UDP port."""
        ending = f":{port:04X}"
        for _ in range(PATIENCE_S * 10):
            tables = self.run(namespace, "sh", "-c", "cat /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6")
            if any(len(row := line.split()) > 1 and row[1].endswith(ending) for line in tables.splitlines()):
                return
            time.sleep(0.1)
        raise RecordingError(f"nothing listens on port {port} of {namespace}")


class Running:
    """A program that runs beside the script, and what it has said so far."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process, self.log = process, log

    def says(self, words: str) -> None:
        """Wait until the program has said the words."""
        for _ in range(PATIENCE_S * 20):
            if words in self.log.read_text(errors="replace"):
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RecordingError(f"{self.process.args!r} did not say {words!r}: {self.log.read_text(errors='replace')}")

    def ends(self) -> None:
        """Wait until the program ends by itself, and well."""
        if self.process.wait(timeout=PATIENCE_S):
            raise RecordingError(f"{self.process.args!r}: {self.log.read_text(errors='replace')}")


def stop(process: subprocess.Popen[str]) -> None:
    """End a process, politely first."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _call(*command: str, may_fail: bool = False) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise RecordingError(f"{' '.join(command)}: not done after {PATIENCE_S} s") from error
    if done.returncode and not may_fail:
        raise RecordingError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip() or done.returncode}")
    return done.stdout
