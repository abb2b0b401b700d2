"""Results as JSON documents (docs/output-schema.json); the text for people is made from the same documents.

All times are integer nanoseconds, since 1970 where they are moments.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from attrs import asdict

from iochain.batch import source_and_serial
from iochain.capture import CutShort, Damage, Source
from iochain.chain import From, Port, PortKind, Reason, plain
from iochain.changes import smallest_change
from iochain.cli.mistakes import mistake_document
from iochain.cli.options import OpenedLab
from iochain.engine.counters import BYTES, FRAMES, IN, OUT, DropCount
from iochain.engine.explanation import Step
from iochain.engine.path import Dropped
from iochain.version import __version__

if TYPE_CHECKING:
    from iochain.engine.summary import EngineSummary
    from iochain.net import Outcome
    from iochain.replay import Fate, Replay

Document = dict[str, Any]

BY_DESIGN: Final = frozenset({Reason.RECEIVE_FILTER, Reason.REVERSE_PATH, Reason.REFLECTION})
"""Why a port does not take a copy that reaches it in a network without any fault: floods meet every port."""

KINDS: Final[Mapping[PortKind, str]] = {
    PortKind.VNIC: "vNIC",
    PortKind.VMKERNEL: "vmkernel adapter",
    PortKind.UPLINK: "uplink",
    PortKind.PHYSICAL: "port of a physical switch",
}
ADDRESS_KINDS: Final = ("unicast", "multicast", "broadcast")


def replay_document(result: "Replay", opened: OpenedLab) -> Document:
    """All that is known after a replay but the frames themselves."""
    counters = result.counters
    return {
        **heading("replay", opened),
        "captures": [_capture(source) for source in result.sources],
        "first_ns": result.first_ns,
        "last_ns": result.last_ns,
        "counts": {
            name: getattr(counters, name)
            for name in ("entered", "generated", "copied", "split", "delivered", "dropped", "merged", "consumed")
        },
        "entries": [
            {"rule": rule, "port": port, "frames": count}
            for (rule, port), count in sorted(result.entries.items(), key=lambda item: -item[1])
        ],
        "ports": [_port_counters(port, counters.ports[port.number].tolist()) for port in result.wiring.ports],
        "drops": [_drop(drop, result) for drop in result.drops],
        "super_frames": dict(result.super_frames),
        "offloads": [asdict(count) for count in result.offloads],
        "mac_moves": [
            {"switch": switch, "mac": str(mac), "moves": count} for (switch, mac), count in result.mac_moves.items()
        ],
        "failovers": [asdict(failover) for failover in result.failovers],
        "output": None if result.options.output is None else _output(result.options.output, result.written),
        "engine": _engine(result.engine),
        "hints": result.hints,
    }


def explain_document(outcome: "Outcome", opened: OpenedLab, what: Mapping[str, Any]) -> Document:
    """The way of one frame; ``what`` says which: capture and number, or bytes and port."""
    return {
        **heading("explain", opened),
        **what,
        "steps": [_step(step) for step in outcome.explanation.steps],
        "delivered": [_fate(fate) for fate in outcome.deliveries],
        "dropped": [
            {**_fate(fate), **dropped(fate.dropped, smallest_change(opened.lab.wiring, fate.dropped))}
            for fate in outcome.drops
            if fate.dropped
        ],
        "expected": None,
    }


def heading(command: str, opened: OpenedLab) -> Document:
    """How every document begins."""
    inferred = {"summary": opened.summary, "lab": opened.inferred_text} if opened.inferred_text else None
    return {
        "iochain": __version__,
        "command": command,
        "lab": opened.lab.name,
        "inferred": inferred,
        "warnings": [mistake_document(warning) for warning in opened.lab.warnings],
    }


def setting(value: From | None) -> Document | None:
    """A setting with its origin."""
    if value is None:
        return None
    return {
        "name": value.name,
        "value": plain(value.value),
        "origin": value.origin,
        "key": value.key,
        "place": value.place or None,
        "text": str(value),
    }


def dropped(what: Dropped, change: str | None) -> Document:
    """Where and why a frame was dropped, and the setting that would let it pass the stage."""
    return {
        "where": what.where,
        "stage": what.stage,
        "reason": what.drop.reason.name.lower(),
        "reason_text": what.drop.reason.value,
        "esxi_reason": what.drop.reason.esxi,
        "rule": what.drop.rule,
        "setting": setting(what.setting),
        "change": change,
        "by_design": what.drop.reason in BY_DESIGN,
    }


def port_document(port: Port) -> Document:
    """A port by its names."""
    return {
        "name": port.name,
        "kind": KINDS[port.kind],
        "host": port.host,
        "switch": port.switch,
        "portgroup": port.portgroup,
    }


def _capture(source: Source) -> Document:
    return {
        "path": source.path,
        "format": source.format.value,
        "packing": source.packing,
        "frames": source.frames,
        "passed_over": dict(source.passed_over),
        "short": source.short,
        "held_back": source.held_back,
        "largest_step_back_ns": source.largest_step_back_ns,
        "ending": _ending(source),
    }


def _ending(source: Source) -> Document | None:
    match source.ending:
        case CutShort() as cut:
            return {"kind": "cut short", "frame": cut.frame, "byte_offset": cut.byte_offset, "text": str(cut)}
        case Damage() as damage:
            return {
                "kind": "damaged",
                "frame": source.frames,
                "byte_offset": damage.offset,
                "text": f"{damage} (after frame {source.frames})",
            }
    return None


def _port_counters(port: Port, counters: list[Any]) -> Document:
    ways = {
        name: {
            kind: {"frames": numbers[FRAMES], "bytes": numbers[BYTES]}
            for kind, numbers in zip(ADDRESS_KINDS, counters[way], strict=True)
        }
        for name, way in (("in", IN), ("out", OUT))
    }
    return {**port_document(port), **ways}


def _drop(drop: DropCount, result: "Replay") -> Document:
    source, _ = source_and_serial(drop.first_order)
    is_captured = source < len(result.captures)  # else a host made the frame
    return {
        **dropped(drop.dropped, result.change(drop)),
        "port": result.wiring.ports[drop.dropped.port].name if drop.dropped.port >= 0 else None,
        "incoming": drop.dropped.incoming,
        "frames": drop.frames,
        "bytes": drop.bytes,
        "first_capture": result.captures[source] if is_captured else None,
        "first_frame": drop.first_frame if is_captured else None,
        "first_time_ns": drop.first_time_ns,
    }


def _engine(summary: "EngineSummary") -> Document:
    return {
        "name": summary.engine,
        "walks": summary.walks,
        "walk_ns": summary.walk_ns,
        "keys": summary.keys,
        "forgotten": summary.forgotten,
        "most_keys": summary.most_keys,
        "limit_reached": summary.limit_reached,
        "ways": summary.ways,
        "stages": [
            {
                "where": cost.where,
                "stage": cost.stage,
                "kind": "walks" if cost.is_walk else "runs",
                "times": cost.times,
                "ns": cost.ns,
                "each_ns": cost.each_ns,
            }
            for cost in summary.stages
        ],
        "notes": list(summary.notes()),
    }


def _output(path: str, frames: int) -> Document:
    return {"path": path, "frames": frames}


def _step(step: Step) -> Document:
    return {
        "where": step.where,
        "stage": step.stage,
        "outcome": step.outcome,
        "detail": step.detail,
        "read": [{"field": name, "value": value} for name, value in step.read],
        "consulted": [{"name": name, "answer": answer} for name, answer in step.consulted],
        "setting": setting(step.setting),
        "is_drop": step.is_drop,
    }


def _fate(fate: "Fate") -> Document:
    return {"port": fate.port, "time_ns": fate.time_ns, "bytes": len(fate.data)}
