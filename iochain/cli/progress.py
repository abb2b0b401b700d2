"""Progress of a replay on a terminal: frames, rate, time left. Nothing where no terminal is, or where it is quick."""

import sys
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self

from attrs import define, field

QUICK_S: Final = 0.7
"""A replay that is done by then shows nothing, and does not wait for rich to load."""


@define
class ShownProgress:
    """A bar on stderr, gone when the replay is done. Called after each window (see :data:`iochain.replay.Progress`)."""

    started: float = field(factory=monotonic)
    _bar: Any = None
    _task: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, read: int, total: int | None, frames: int) -> None:
        """Show how far it is; ``read`` and ``total`` are bytes of the captures."""
        passed = monotonic() - self.started
        if passed < QUICK_S or not sys.stderr.isatty():
            return
        if self._bar is None:
            self._begin()
        said = f"{frames:,} frames, {frames / passed:,.0f}/s"
        self._bar.update(self._task, completed=read, total=total, said=said)

    def _begin(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.fields[said]}"), BarColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("replay", total=None, said="")
        self._bar.start()
