"""The choice between the forms that a layer can take: the cheapest of a list, the first among equals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Candidate", "cheapest"]

Form = TypeVar("Form")


@dataclass(frozen=True, slots=True)
class Candidate(Generic[Form]):
    """A form, what it costs in the unit of the list that it stands in, and the function that writes it."""

    cost: float
    write: Callable[[], Form]


def cheapest(candidates: Sequence[Candidate[Form]]) -> Form:
    """Write the candidate of least cost.

    >>> cheapest([Candidate(2.0, lambda: "table"), Candidate(1.0, lambda: "blocks"), Candidate(1.0, lambda: "dense")])
    'blocks'
    """
    return min(candidates, key=lambda candidate: candidate.cost).write()
