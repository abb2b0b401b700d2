"""``iochain explain``: one frame, of a capture or of text, stage by stage."""

import json
from typing import TYPE_CHECKING, Any

import click

from iochain.cli import options
from iochain.cli.text import say

if TYPE_CHECKING:
    from iochain.lab import Lab
    from iochain.net import Outcome


@click.command(
    short_help="Follow one frame, stage by stage.",
    epilog="Exit codes: 0 fine; 1 the frame did not reach the port of --expect; 2 the input cannot be used.",
)
@click.argument("target", required=False, metavar="[CAPTURE#N]")
@options.lab_options
@click.option("--frame", "text", metavar="FRAME", help="Send this frame instead: hexadecimal, or layers as below.")
@options.entry_options
@click.option("--expect", metavar="PORT", help="Say why the frame did not get to this port, if it did not.")
@options.json_option
def explain(
    target: str | None,
    lab_path: str | None,
    settings: tuple[str, ...],
    text: str | None,
    at: str | None,
    captured_at: str | None,
    engine: str | None,
    expect: str | None,
    as_json: bool,
) -> int:
    """Show every stage that a frame passed: its verdict, the fields that it read, what it asked, the setting that
    decided and who set it, and what was changed.

    \b
    iochain explain web.pcapng#17 --lab lab.yaml
    iochain explain web.pcapng#17 --lab lab.yaml --expect db
    iochain explain --lab lab.yaml --at web --frame \\
      "Ether(src='00:50:56:00:00:01', dst='00:50:56:00:00:02')/IP(dst='10.0.0.2')/TCP(dport=80)"

    A frame's number counts from 1, as in Wireshark. Whatever came before it in the capture is replayed too.
    """
    capture, number = _target(target, text, at, lab_path)
    data = b"" if text is None else _frame(text)
    opened = options.open_lab(lab_path, settings, [capture])
    from iochain.cli.documents import explain_document
    from iochain.cli.explain_text import explain_text

    if text is None:
        place, chosen = options.place_of(captured_at), options.engine_of(engine)
        outcome = opened.lab.explain(capture, number, at=at, captured_at=place, **chosen)
        what = {"capture": capture, "frame": number, "at": at, "sent": None}
    else:
        outcome = opened.lab.send(data, at or "", engine=engine)
        what = {"capture": None, "frame": None, "at": at, "sent": data.hex()}
    document = explain_document(outcome, opened, what)
    if expect is not None:
        document["expected"] = _expected(opened.lab, outcome, expect)
    say([json.dumps(document, indent=2, ensure_ascii=False)] if as_json else explain_text(document))
    return 0 if expect is None or document["expected"]["reached"] else 1


def _target(target: str | None, text: str | None, at: str | None, lab_path: str | None) -> tuple[str, int]:
    """The capture and the number of the frame; an empty name with ``--frame``."""
    if (target is None) == (text is None):
        raise click.UsageError("name a frame by capture and number, like web.pcapng#17, or give it with --frame")
    if text is not None:
        if at is None:
            raise click.UsageError("--frame needs --at: the port that it enters by")
        if lab_path is None:
            raise click.UsageError("--frame needs --lab")
        return "", 0
    capture, sign, number = (target or "").rpartition("#")
    if not sign or not number.isascii() or not number.isdecimal() or len(number) > 12 or int(number) < 1:
        raise click.UsageError(f'"{target}" names no frame: say its number after a #, like web.pcapng#17')
    return capture, int(number)


def _frame(text: str) -> bytes:
    from iochain.cli.frametext import FrameTextError, frame_bytes

    try:
        return frame_bytes(text)
    except FrameTextError as wrong:
        raise click.ClickException(f"--frame: {wrong}") from None


def _expected(lab: "Lab", outcome: "Outcome", expect: str) -> dict[str, Any]:
    """Whether the frame reached a port, and why not. LookupError if the lab has no such port."""
    port = lab.wiring.port(expect).name
    reached = port in outcome.ports
    return {"port": port, "reached": reached, "why_not": None if reached else outcome.explanation.why_not(port)}
