"""Lists of devices, which never fail: an empty one says why it is empty."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

Item = TypeVar("Item")


class Listing(list[Item]):
    """A list that says in ``reason`` why something, or everything, is not in it."""

    def __init__(self, items: Iterable[Item] = (), reason: str = "") -> None:
        super().__init__(items)
        self.reason = reason
