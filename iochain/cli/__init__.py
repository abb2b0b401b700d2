"""The command line: ``iochain replay``, ``explain`` and ``lab``. A command's module loads when it is called.

What stands here runs before every command and with ``--help``, so it imports click and nothing heavier.
"""

import gc
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import Any, Final

import click

from iochain.version import __version__

EPILOG: Final = """\b
Exit codes:
  0    fine
  1    the answer is no (--expect was not met, a check has findings)
  2    the input cannot be used (a mistake in the lab or on the command
       line, a capture that is damaged or cannot be opened)
  3    a fault of iochain itself
  130  interrupted"""
FAULT: Final = 3
INTERRUPTED: Final = 130


class LazyGroup(click.Group):
    """A group that knows its commands by module and by one line of help, and loads one only to run it."""

    def __init__(self, homes: Mapping[str, tuple[str, str]], **keys: Any) -> None:
        super().__init__(**keys)
        self.homes = homes

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of the table."""
        return list(self.homes)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command, from its module; None if there is none of this name."""
        if cmd_name not in self.homes:
            return None
        module, _, name = self.homes[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f"iochain.cli.{module}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names, or a message with the nearest name."""
        if args and args[0] not in self.homes and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.homes, 1)
            hint = f'; is "{near[0]}" meant?' if near else f" ({', '.join(self.homes)})"
            ctx.fail(f'there is no command "{args[0]}"{hint}')
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in the help, without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.homes.items()])


def grouped(name: str, help_text: str, homes: Mapping[str, tuple[str, str]]) -> LazyGroup:
    """A group of commands."""
    keys = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
    return LazyGroup(homes, name=name, help=help_text, epilog=EPILOG, context_settings=keys)


COMMANDS: Final = {
    "replay": ("replay:replay", "Run captures through a lab: what went where, and why not."),
    "explain": ("explain:explain", "Follow one frame, stage by stage."),
    "lab": ("lab:lab", "Check, show, draw and infer labs."),
    "coverage": ("coverage:coverage", "Say which stages, verdicts and settings captures exercised, and which never."),
    "diff": ("diff:diff", "Compare two labs: which frames of captures fare differently, and why."),
    "check": ("check:check", "Check a policy: which statements hold, and a frame that breaks those which do not."),
}
program = grouped("iochain", "Replay, explain and test the virtual switches of ESXi offline.", COMMANDS)
program = click.version_option(__version__, prog_name="iochain", message="%(prog)s %(version)s")(program)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (that of the process if none is given); gives the exit code."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # else numpy starts threads that nobody uses
    gc.set_threshold(400_000)  # what imports make stays: looking through it again and again took a tenth of a start
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # file names and arrows that the terminal has no letters for
    try:
        code = program.main(arguments, "iochain", standalone_mode=False)
        sys.stdout.flush()
    except click.Abort:
        return INTERRUPTED
    except click.NoSuchOption as error:
        _told_option(error)
        return 2
    except click.ClickException as error:
        error.show()
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is not wanted by anybody
        return 0
    except Exception as error:
        return _told(error)
    finally:
        gc.freeze()  # at its end Python would look through everything once more, for a quarter of a second
    return code if isinstance(code, int) else 0


MISTAKES: Final = ("iochain.topology.mistakes.LabError", "iochain.capture.endings.CaptureError", "builtins.LookupError")
"""Exceptions whose message is for the user. By name, so that telling one loads nothing."""


def _told_option(error: click.NoSuchOption) -> None:
    """Say that there is no such option, with those that may be meant."""
    near = [name for name in error.possibilities or () if name.startswith("--")]
    hint = f"; is {near[0]} meant?" if near else ""
    click.echo(f"Error: there is no option {error.option_name}{hint}", err=True)
    if error.ctx is not None:
        click.echo(f"Try '{error.ctx.command_path} --help' for help.", err=True)


def _told(error: Exception) -> int:
    """Say what went wrong, in one message on stderr; gives the exit code."""
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    if name in MISTAKES or isinstance(error, OSError):
        click.echo(f"Error: {error}", err=True)
        return 2
    if os.environ.get("IOCHAIN_TRACEBACK"):
        raise error
    click.echo(
        f"Error: {type(error).__name__}: {error}\n"
        "This is a fault of iochain. Please report it with the command line, the lab and the capture, and with what "
        "is said when IOCHAIN_TRACEBACK=1 is set in the environment.",
        err=True,
    )
    return FAULT
