"""``iochain check``: the statements of a policy about a lab, and a frame that shows it for each that does not hold."""

import json
from pathlib import Path

import click

from iochain.cli import options
from iochain.cli.text import say


@click.command(
    short_help="Check a policy: which statements hold, and a frame that breaks those which do not.",
    epilog="Exit codes: 0 nothing was found against any statement; 1 a statement does not hold; 2 the lab or the "
    "policy cannot be used.",
)
@click.argument("lab_path", metavar="LAB")
@click.argument("policy_path", metavar="POLICY")
@options.set_option
@click.option(
    "--witness",
    metavar="DIR",
    help="Where the witnesses are written; beside the policy if not given, in POLICY-witnesses.",
)
@click.option(
    "--examples",
    type=click.IntRange(min=0),
    metavar="N",
    help="Frames that are drawn at random where none at the borders breaks a statement (200; the same in each run).",
)
@click.option("--junit", metavar="FILE", help="Write the result as JUnit XML too.")
@click.option(
    "--engine",
    type=click.Choice(["auto", "paths", "plain"]),
    help="How frames are decided: by remembered paths, each frame stage by stage, or as it pays; same results.",
)
@options.json_option
def check(
    lab_path: str,
    policy_path: str,
    settings: tuple[str, ...],
    witness: str | None,
    examples: int | None,
    junit: str | None,
    engine: str | None,
    as_json: bool,
) -> int:
    """Search a lab for frames that break the statements of a policy.

    \b
    iochain check lab.yaml policy.yaml
    iochain check lab.yaml policy.yaml --set portgroup.Prod.forged_transmits=reject

    A statement that does not hold comes with its witness: a capture of one frame, which replays to what is said.
    """
    options.refuse_overwriting("--junit", junit, lab_path, policy_path)
    opened = options.open_lab(lab_path, settings, ())
    from iochain.cli.check_documents import check_document, junit_text
    from iochain.cli.check_text import check_text
    from iochain.engine.network import Engine
    from iochain.verify.checking import EXAMPLES, check, write_witnesses
    from iochain.verify.policyfile import load_policy

    policy = load_policy(policy_path, opened.lab.wiring)
    count = EXAMPLES if examples is None else examples
    result = check(opened.lab, policy, examples=count, engine=None if engine is None else Engine(engine))
    folder = Path(policy_path).with_suffix("").name + "-witnesses"
    files = write_witnesses(result, Path(witness) if witness else Path(policy_path).parent / folder)
    document = check_document(result, opened, files, (lab_path, *settings))
    if junit is not None:
        Path(junit).write_text(junit_text(document), encoding="utf-8")
    say([json.dumps(document, indent=2, ensure_ascii=False)] if as_json else check_text(document))
    return int(bool(result.violations))
