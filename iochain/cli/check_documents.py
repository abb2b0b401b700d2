"""The result of a policy check as a document, and the same as JUnit XML."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from iochain.cli.documents import Document, explain_document, heading, setting
from iochain.cli.options import OpenedLab
from iochain.verify.checking import Checked, Result, Violation


def check_document(result: Result, opened: OpenedLab, files: Mapping[str, Path], lab: Sequence[str]) -> Document:
    """All statements, and for those that do not hold the witness; ``lab`` is the lab's path, and settings for it."""
    return {
        **heading("check", opened),
        "policy": result.policy,
        "frames": result.frames,
        "drawn": result.examples,
        "statements": [_statement(one, opened, files, lab) for one in result.checked],
    }


def _statement(one: Checked, opened: OpenedLab, files: Mapping[str, Path], lab: Sequence[str]) -> Document:
    place = one.statement.place
    found = one.violation
    return {
        "name": one.statement.name,
        "kind": one.statement.kind,
        "because": one.statement.because,
        "line": None if place is None else place.line,
        "holds": one.holds,
        "violation": None if found is None else _violation(found, opened, files[one.statement.name], lab),
    }


def _violation(found: Violation, opened: OpenedLab, file: Path, lab: Sequence[str]) -> Document:
    witness = found.witness
    what = {"capture": str(file), "frame": 1, "at": witness.at, "sent": witness.frame.hex()}
    explained = explain_document(witness.outcome, opened, what)
    path, *settings = lab
    options = [word for one in settings for word in ("--set", one)]
    expect = ["--expect", witness.port]
    command = ["iochain", "explain", f"{file}#1", "--lab", path, *options, "--at", witness.at, *expect]
    return {
        "at": witness.at,
        "port": witness.port,
        "fate": witness.fate,
        "sent": witness.frame.hex(),
        "witness": str(file),
        "setting": setting(found.setting),
        "change": found.change,
        "command": shlex.join(command),
        "steps": explained["steps"],
        "delivered": explained["delivered"],
        "dropped": explained["dropped"],
    }


def junit_text(document: Document) -> str:
    """The document as JUnit XML: a test case for each statement."""
    broken = sum(not one["holds"] for one in document["statements"])
    count = {"tests": str(len(document["statements"])), "failures": str(broken), "errors": "0"}
    suites = ElementTree.Element("testsuites", count)
    suite = ElementTree.SubElement(suites, "testsuite", {"name": document["policy"], **count})
    for one in document["statements"]:
        case = ElementTree.SubElement(suite, "testcase", {"classname": document["policy"], "name": one["name"]})
        if one["violation"] is not None:
            found = one["violation"]
            failure = ElementTree.SubElement(case, "failure", {"message": f"sent at {found['at']}: {found['fate']}"})
            decided = f"\ndecided by {found['setting']['text']}" if found["setting"] else ""
            failure.text = f"{one['because']}\nframe {found['sent']}{decided}\n{found['command']}"
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"
