"""Where every value and every step's scratch lie in the workspace: two may share room when they never live together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from export.c.text import ALIGN, round_up

__all__ = ["Layout", "Request", "place"]


@dataclass(frozen=True, slots=True)
class Request:
    """So many floats, from step `first` to step `last`, both included."""

    name: str
    size: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Offset of every request by name, and floats in all."""

    offsets: Mapping[str, int]
    size: int


def place(requests: Sequence[Request]) -> Layout:
    """Give each request the lowest offset that is free while it lives, the largest first.

    >>> place([Request("a", 16, 0, 1), Request("b", 16, 1, 2), Request("c", 16, 2, 3)]).size
    32
    """
    placed: list[tuple[int, int, Request]] = []
    for request in sorted(requests, key=lambda r: (-r.size, r.first, r.name)):
        size = round_up(request.size, ALIGN)
        offset = 0
        for start, end, other in sorted(placed, key=lambda p: (p[0], p[1])):
            alive = other.first <= request.last and request.first <= other.last
            if alive and start < offset + size and offset < end:
                offset = end
        placed.append((offset, offset + size, request))
    offsets = {request.name: start for start, _, request in placed}
    return Layout(offsets, max((end for _, end, _ in placed), default=0))
