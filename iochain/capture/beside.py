"""Work that another thread does in the order given, on the second core, while the caller goes on."""

from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread, current_thread
from typing import Any
from weakref import finalize


class Beside:
    """One thread, and the work that it has been given; what a piece of work raises the caller meets later.

    No executor of the library's: its futures cost some 20 microseconds more for a window's frames, on two cores.
    """

    def __init__(self, name: str, most: int) -> None:
        """``most`` pieces of work may wait for their end before :meth:`do` waits for the first of them."""
        self._most = most
        self._given: SimpleQueue[_Piece | None] = SimpleQueue()
        self._under_way: deque[_Piece] = deque()
        self._thread = Thread(target=_work, args=(self._given,), name=name, daemon=True)
        self._thread.start()
        self._end = finalize(self, _end, self._given, self._thread)  # at the latest when the process ends

    def do(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Have work done. Raises what work given before has raised."""
        while len(self._under_way) >= self._most:
            self._end_first()
        piece = _Piece(work, arguments)
        self._given.put(piece)
        self._under_way.append(piece)

    def wait(self) -> None:
        """Until all is done. Raises what the first that failed has raised; of those behind it nothing is said."""
        while self._under_way:
            self._end_first()

    def close(self) -> None:
        """Wait for what is under way, and end the thread; what was raised is told by :meth:`wait`."""
        self._end()
        self._thread.join()

    def _end_first(self) -> None:
        piece = self._under_way[0]
        with piece.runs:  # an interrupt leaves it under way, to be waited for again
            pass
        self._under_way.popleft()
        if piece.error is None:
            return
        while self._under_way:
            with self._under_way[0].runs:
                pass
            self._under_way.popleft()
        raise piece.error


class _Piece:
    """A piece of work, and what it raised; the lock is free when it has ended."""

    __slots__ = ("arguments", "error", "runs", "work")

    def __init__(self, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.work, self.arguments = work, arguments
        self.error: BaseException | None = None
        self.runs = Lock()
        self.runs.acquire()


def _work(given: "SimpleQueue[_Piece | None]") -> None:
    """Do what is given until the end; nothing is kept of what was done, which holds the memory of frames."""
    while (piece := given.get()) is not None:
        try:
            piece.work(*piece.arguments)
        except BaseException as error:
            piece.error = error
        piece.arguments = ()
        piece.runs.release()


def _end(given: "SimpleQueue[_Piece | None]", thread: Thread) -> None:
    """End a thread; the last that refers to its work may be itself."""
    given.put(None)
    if thread is not current_thread():
        thread.join()
