"""Work that another thread does in the order given, on the second core, while the caller goes on."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class Beside:
    """One thread, and the work that it has been given; what a piece of work raises the caller meets later."""

    def __init__(self, name: str, most: int) -> None:
        """``most`` pieces of work may wait for their end before :meth:`do` waits for the first of them."""
        self._most = most
        self._thread = ThreadPoolExecutor(1, name)
        self._under_way: deque[Future[Any]] = deque()

    def do(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Have work done. Raises what work given before has raised."""
        while len(self._under_way) >= self._most:
            self._end_first()
        self._under_way.append(self._thread.submit(work, *arguments))

    def wait(self) -> None:
        """Until all is done. Raises what the first that failed has raised; of those behind it nothing is said."""
        while self._under_way:
            self._end_first()

    def close(self) -> None:
        """Wait for what is under way, and end the thread."""
        self._under_way.clear()
        self._thread.shutdown()

    def _end_first(self) -> None:
        try:
            self._under_way.popleft().result()
        except BaseException:
            self._under_way.clear()
            raise
