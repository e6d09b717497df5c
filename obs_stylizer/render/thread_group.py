"""A group of threads and the bounded queues between them; all end as soon as one fails."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class GroupStopped(Exception):  # noqa: N818 - nothing went wrong here
    """The work was stopped; the thread that meets this only has to leave."""


class ThreadGroup:
    """Threads that work on one thing: the first failure, or :meth:`stop`, ends all of them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._stopped = False
        self._error: BaseException | None = None
        self._threads: list[threading.Thread] = []
        self._left = 0

    def start(self, name: str, work: Callable[[], None]) -> None:
        """Do ``work`` in a thread."""

        def run() -> None:
            try:
                work()
            except GroupStopped:
                pass
            except BaseException as error:
                self._fail(error)
            finally:
                with self._changed:
                    self._left -= 1
                    self._changed.notify_all()

        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.append(thread)
        with self._changed:
            self._left += 1
        thread.start()

    def stop(self) -> None:
        """Let every thread leave at its next step."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def wait(self, timeout: float) -> bool:
        """Return whether all have ended, after ``timeout`` seconds at most.

        Raises:
            Exception: what the first of them failed with, once all have left.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._left == 0, timeout)
            ended = self._left == 0
        if ended:
            for thread in self._threads:
                thread.join()
            if self._error is not None:
                raise self._error
        return ended

    def check(self) -> None:
        """Leave if the work was stopped.

        Raises:
            BeltStopped: it was.
        """
        if self._stopped:
            raise GroupStopped

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            if self._error is None and not self._stopped:
                self._error = error
            self._stopped = True
            self._changed.notify_all()

    @property
    def changed(self) -> threading.Condition:
        """Told of every change on any queue."""
        return self._changed


class BoundedQueue(Generic[Item]):
    """Carries items from one thread of a group to another, at most ``length`` at a time."""

    def __init__(self, group: ThreadGroup, length: int) -> None:
        self._group = group
        self._length = length
        self._items: deque[Item] = deque()
        self._ended = False

    def put(self, item: Item) -> None:
        """Lay an item on, waiting for room.

        Raises:
            BeltStopped: the work was stopped.
        """
        changed = self._group.changed
        with changed:
            changed.wait_for(lambda: len(self._items) < self._length or self._group._stopped)
            self._group.check()
            self._items.append(item)
            changed.notify_all()

    def end(self) -> None:
        """Say that nothing more comes."""
        with self._group.changed:
            self._ended = True
            self._group.changed.notify_all()

    def __iter__(self) -> Iterator[Item]:
        """Take items off until the end.

        Raises:
            BeltStopped: the work was stopped.
        """
        changed = self._group.changed
        while True:
            with changed:
                changed.wait_for(lambda: self._items or self._ended or self._group._stopped)
                self._group.check()
                if not self._items:
                    return
                item = self._items.popleft()
                changed.notify_all()
            yield item
