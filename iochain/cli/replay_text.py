"""The summary of a replay as text: where frames entered, ports, uplinks, drops, notes."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from iochain.cli.documents import ADDRESS_KINDS, Document
from iochain.cli.mistakes import place_text
from iochain.cli.text import counted, notes, paragraph, table, title
from iochain.topology.units import format_time

MOST_DROPS: Final = 100
MOST_ROWS: Final = 30
"""Rows of the table of drops, and of those of refused copies and of entries; all are in the JSON document."""
_DAY_NS: Final = 86_400 * 10**9
_LONG_NS: Final = 3 * _DAY_NS


def replay_text(document: Document, only_drops: bool = False, all_ports: bool = False) -> Iterator[str]:
    """The lines of the summary."""
    yield from _head(document)
    if not only_drops:
        yield from _entries(document)
        yield from _ports(document, all_ports)
        yield from _offloads(document)
        yield from _mac_moves(document)
        yield from _failovers(document)
    drops = [drop for drop in document["drops"] if not drop["by_design"]]
    refused = [drop for drop in document["drops"] if drop["by_design"]]
    several = len(document["captures"]) > 1
    yield ""
    if drops:
        yield title(f"Drops: {counted(sum(drop['frames'] for drop in drops), 'frame')}")
        yield from _drop_table(drops, several, MOST_DROPS)
    else:
        yield title("Drops: none")
    if refused:
        count = sum(drop["frames"] for drop in refused)
        yield from ("", title(f"Copies that ports did not take, by design: {counted(count, 'frame')}"))
        yield from _drop_table(refused, several, MOST_ROWS)
    said = list(_notes(document))
    if said:
        yield from ("", title("Notes"))
        yield from notes(said)


def _head(document: Document) -> Iterator[str]:
    paths = [capture["path"] for capture in document["captures"]]
    shown = ", ".join(paths) if len(paths) <= 3 else f"{len(paths)} captures"
    yield title(f"{shown} through {document['lab']}")
    counts = document["counts"]
    span = ""
    if document["first_ns"] is not None:
        span = f" in {_rounded(document['last_ns'] - document['first_ns'])}"
    more = [f"{counts[name]:,} {word}" for name, word in _MORE.items() if counts[name]]
    yield f"{counted(counts['entered'], 'frame')} entered{span}: " + ", ".join(
        [*more, f"{counts['delivered']:,} delivered", f"{counts['dropped']:,} dropped"]
    )
    yield from inferred_text(document)


def inferred_text(document: Document) -> Iterator[str]:
    """What was inferred, where no lab was given."""
    if document["inferred"]:
        yield from ("", title("No lab was given; this one was inferred"))
        yield from paragraph(document["inferred"]["summary"], "  ")


_MORE: Final = {
    "copied": "copies made",
    "generated": "generated",
    "split": "made by splitting",
    "merged": "merged",
    "consumed": "consumed",
}


def _entries(document: Document) -> Iterator[str]:
    yield from ("", title("Entered"))
    rows = [(f"{entry['frames']:,}", entry["port"], entry["rule"]) for entry in document["entries"]]
    yield from table("><<", ("frames", "at port", "by"), rows[:MOST_ROWS])
    yield from _rest(len(rows) - MOST_ROWS)


def _ports(document: Document, all_ports: bool) -> Iterator[str]:
    """Tables of the ports and of the uplinks: in is from the port's client to the switch, out the other way."""
    for name, (one, many, *kinds) in _KINDS_OF_PORTS.items():
        ports = [port for port in document["ports"] if port["kind"] in kinds]
        shown = [port for port in ports if all_ports or _is_busy(port)]
        silent = len(ports) - len(shown)
        if not ports:
            continue
        yield from ("", title(f"{name} (in: to the switch, out: from the switch)"))
        if shown:
            yield from _port_table(shown)
        if silent:
            yield f"  {counted(silent, one, many)} without traffic (--all-ports shows them)"


_KINDS_OF_PORTS: Final = {
    "Ports": ("port", "ports", "vNIC", "vmkernel adapter"),
    "Uplinks": ("uplink", "uplinks", "uplink"),
    "Ports of physical switches": ("port", "ports", "port of a physical switch"),
}
"""The tables of ports, each with the words for one and many of them, and the kinds in it."""


def _mac_moves(document: Document) -> Iterator[str]:
    """MACs that physical switches found at one port and then at another."""
    if document["mac_moves"]:
        yield from ("", title("MACs that moved between ports of a physical switch"))
        rows = [(one["switch"], one["mac"], f"{one['moves']:,}") for one in document["mac_moves"]]
        yield from table("<<>", ("switch", "MAC", "moves"), rows[:MOST_ROWS])
        yield from _rest(len(rows) - MOST_ROWS)


def _failovers(document: Document) -> Iterator[str]:
    """When teams came to use other uplinks, from the first frame on."""
    if document["failovers"]:
        yield from ("", title("Failovers"))
        rows = []
        for one in document["failovers"]:
            after = f"+{max(0, one['time_ns'] - (document['first_ns'] or 0)) / 10**9:.6f} s"
            used = ", ".join(one["after"]) or "none"
            used += f"; all is sent by {', '.join(one['everywhere'])}" if one["everywhere"] else ""
            rows.append((after, one["team"], ", ".join(one["before"]) or "none", used))
        yield from table("><<<", ("time", "team", "uplinks before", "and then"), rows[:MOST_ROWS])
        yield from _rest(len(rows) - MOST_ROWS)


def _offloads(document: Document) -> Iterator[str]:
    """Who segmented, summed and put together, and what ESXi counts it under."""
    if not document["offloads"]:
        return
    yield from ("", title("Offloads"))
    rows = [
        (one["port"], one["what"], one["by"], *(f"{one[name]:,}" for name in _OFFLOAD_NUMBERS), one["counter"])
        for one in document["offloads"]
    ]
    yield from table("<<<>>>><", ("port", "", "by", *_OFFLOAD_NUMBERS, "counter"), rows)


_OFFLOAD_NUMBERS: Final = ("frames", "bytes", "made", "dropped")


def _is_busy(port: Document) -> bool:
    return any(port[way][kind]["frames"] for way in ("in", "out") for kind in ADDRESS_KINDS)


def _port_table(ports: Sequence[Document]) -> Iterator[str]:
    rows = [row for port in ports for row in _port_rows(port)]
    first = 3 if any(row[1] for row in rows) else 2  # uplinks have no port group
    head = ("",) * first + tuple(part for kind in ADDRESS_KINDS for part in (kind, "bytes"))
    yield from table("<" * first + ">" * 6, head, [row if first == 3 else (row[0], *row[2:]) for row in rows])


def _port_rows(port: Document) -> Iterator[tuple[str, ...]]:
    for way in ("in", "out"):
        numbers = [f"{port[way][kind][what]:,}" for kind in ADDRESS_KINDS for what in ("frames", "bytes")]
        names = (port["name"], port["portgroup"] or "") if way == "in" else ("", "")
        yield (*names, way, *numbers)


def _rest(more: int) -> Iterator[str]:
    if more > 0:
        yield f"  … and {counted(more, 'row')} more (--json has all)"


def _drop_table(drops: Sequence[Document], several: bool, most: int) -> Iterator[str]:
    rows = []
    for drop in drops[:most]:
        first = "made" if drop["first_frame"] is None else f"{drop['first_frame']:,}"
        first += f" of {drop['first_capture']}" if several and drop["first_capture"] else ""
        rows.append((f"{drop['frames']:,}", f"{drop['bytes']:,}", first, drop["where"], drop["stage"], _why(drop)))
    yield from table(">>><<<", ("frames", "bytes", "first", "where", "stage", "why"), rows)
    yield from _rest(len(drops) - most)


def _why(drop: Mapping[str, Any]) -> str:
    """Reason and rule, and below them the setting that decided, and the one that would let the frames pass."""
    rule = f" ({drop['rule']})" if drop["rule"] else ""
    setting = f"\nset by {drop['setting']['text']}" if drop["setting"] else ""
    change = f"\nto let them pass: --set {shlex.quote(drop['change'])}" if drop["change"] else ""
    return f"{drop['reason_text']}{rule}{setting}{change}"


def _notes(document: Document) -> Iterator[str]:
    yield from document["hints"]
    yield from document["engine"]["notes"]
    for uplink, count in document["super_frames"].items():
        yield (
            f"{counted(count, 'TCP frame')} longer than the MTU left {uplink} whole: they are super-frames, which the "
            "NIC would cut in pieces (options.offloads and options.uplink_point)"
        )
    for capture in document["captures"]:
        yield from (f"{capture['path']}: {said}" for said in _capture_notes(capture))
    for warning in document["warnings"]:
        yield f"lab: {place_text(warning)}{warning['message']}"
    if document["output"]:
        where = "standard output" if document["output"]["path"] == "-" else document["output"]["path"]
        yield f"{counted(document['output']['frames'], 'frame')} written to {where}"


def _capture_notes(capture: Document) -> Iterator[str]:
    if capture["ending"]:
        yield capture["ending"]["text"]
    for link, count in capture["passed_over"].items():
        yield f"{counted(count, 'frame')} passed over that {'is' if count == 1 else 'are'} no Ethernet ({link})"
    if capture["short"]:
        yield f"{counted(capture['short'], 'frame')} passed over with fewer than 14 bytes"
    if capture["held_back"]:
        step = _rounded(capture["largest_step_back_ns"])
        yield (
            f"{counted(capture['held_back'], 'frame')} had a time before that of a frame before, by {step} at most; "
            "the later time was taken"
        )


def _rounded(nanoseconds: int) -> str:
    """A time with some digits."""
    if nanoseconds >= _LONG_NS:
        return counted(nanoseconds // _DAY_NS, "day")
    for factor in (10**6, 10**3, 1):
        if nanoseconds >= 1000 * factor:
            return format_time(nanoseconds // factor * factor)
    return format_time(nanoseconds)
