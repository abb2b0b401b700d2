"""Tables of users' stages that stand at more than one moment of a frame's way: there, frames must go one by one.

A junction is run for all frames of a window before the next one is. If a stage of one junction writes a table that a
stage of another asks, a frame would see what later frames of its window wrote. Stages of iochain never write.
"""

from collections.abc import Iterable, Iterator
from types import FunctionType
from typing import Any, Final

import attrs

from iochain.chain import OnPackets
from iochain.engine.segments import Half
from iochain.engine.walk import Segment
from iochain.frame import Table

_OWN: Final = "iochain."


def shares_tables(input_half: Half, output_half: Half) -> bool:
    """Whether one table is in reach of users' stages at two junctions."""
    seen: dict[int, int] = {}
    for moment, segments in enumerate(_moments(input_half, output_half)):
        for segment in segments:
            for bound in (*segment.elements, *segment.switch_elements):
                for table in tables_of(bound.element.stage):
                    if seen.setdefault(id(table), moment) != moment:
                        return True
    return False


def _moments(input_half: Half, output_half: Half) -> Iterator[list[Segment]]:
    """The segments that are run at each junction, each once."""
    for depth in range(len(input_half.depots)):
        yield [
            one for one, last in zip(input_half.junctions[depth].segments, input_half.last, strict=True) if last > depth
        ]
    yield list(input_half.final.segments)
    for depth, junction in enumerate(output_half.junctions):
        yield [one for one, last in zip(junction.segments, output_half.last, strict=True) if last >= depth]


def tables_of(stage: Any) -> Iterator[Table[Any, Any]]:
    """The tables that a user's stage can reach: by its attributes, or as a function by its closure and its globals."""
    function = stage.function if isinstance(stage, OnPackets) else stage
    if not isinstance(function, FunctionType):
        if type(stage).__module__.startswith(_OWN):
            return
        names = [field.name for field in attrs.fields(type(stage))] if attrs.has(type(stage)) else vars(stage)
        yield from _tables(getattr(stage, name) for name in names)
        function = getattr(type(stage), "__call__", None)  # noqa: B004  (a batch stage has none)
    if isinstance(function, FunctionType):
        cells = (cell.cell_contents for cell in function.__closure__ or ())
        yield from _tables(cells)
        yield from _tables(function.__globals__.get(name) for name in function.__code__.co_names)


def _tables(values: Iterable[Any]) -> Iterator[Table[Any, Any]]:
    for value in values:
        if isinstance(value, Table):
            yield value
