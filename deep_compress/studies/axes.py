"""From axes to the points of a sweep: every combination, checked before anything is trained."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from compress.errors import UsageError
from compress.recipe.recipe import ContradictionError, Recipe, load_recipe

__all__ = ["Point", "change_points", "choose_points", "load_axes", "point_of", "points_of"]

_MAX_POINTS = 10_000
"""Weeks of work: more is an axis too many, by mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One run of a sweep.

    Parameters
    ----------
    name : str
        Of its directory; unlike every other point's.
    recipe : Recipe
    axes : mapping of str to value
        What distinguishes it from the others.
    """

    name: str
    recipe: Recipe
    axes: Mapping[str, Any] = field(default_factory=dict)


def point_of(base: Mapping[str, Any], axes: Mapping[str, Any]) -> Point:
    """The point with the fields of `base` and the values of `axes`, named after the latter.

    >>> point_of({"epochs": 3}, {"sparsity": 0.9, "criterion": "random"}).name
    'sparsity=0.9,criterion=random'
    """
    text = ",".join(f"{name}={_text(value)}" for name, value in axes.items())
    return Point(name=text or "run", recipe=Recipe.of({**base, **axes}), axes=dict(axes))


def points_of(axes: Mapping[str, Any]) -> tuple[Point, ...]:
    """Every combination of the axes, the last one running fastest.

    Parameters
    ----------
    axes : mapping of str to value or list
        Field of a recipe → its value in all points, or a list of the values that it takes.

    Raises
    ------
    UsageError
        One line for everything that is wrong: an unknown field, an empty axis, a value given twice, a value outside
        what is allowed, fields that do not go together, too many points.
    """
    lists = {name: value for name, value in axes.items() if isinstance(value, list)}
    fixed = {name: value for name, value in axes.items() if not isinstance(value, list)}
    errors: list[str] = []
    for name, values in lists.items():
        if not values:
            errors.append(f"{name}: found no value, allowed at least one on an axis")
        if len({_text(value) for value in values}) < len(values):
            errors.append(f"{name}: found a value twice, allowed each once: {', '.join(map(_text, values))}")
    for name, values in axes.items():
        for value in values if isinstance(values, list) else [values]:
            try:
                Recipe.of({name: value})
            except ContradictionError:
                pass  # of one field alone this says nothing: the others may go with it
            except UsageError as error:
                errors.append(str(error))
    count = 1
    for axis in lists.values():
        count *= len(axis)
    if count > _MAX_POINTS:
        errors.append(f"axes: found {count} points, allowed at most {_MAX_POINTS}")
    points = []
    for combination in itertools.product(*lists.values()) if not errors else ():
        try:
            points.append(point_of(fixed, dict(zip(lists, combination, strict=True))))
        except UsageError as error:
            errors.append(str(error))
    if errors:
        raise UsageError("\n".join(dict.fromkeys(errors)))
    return tuple(points)


def load_axes(path: Path) -> tuple[Point, ...]:
    """The points of a YAML file of axes.

    Raises
    ------
    UsageError
        One line for everything that is wrong with the file or its axes.
    """
    return points_of(load_recipe(path))


def choose_points(points: Sequence[Point], wanted: Sequence[tuple[str, str]]) -> tuple[Point, ...]:
    """The points that have one of the wanted values on every axis that is named.

    Parameters
    ----------
    points : sequence of Point
    wanted : sequence of (str, str)
        Axis and value, as the names of the points spell them.

    Raises
    ------
    UsageError
        An axis that the points do not have, or a value that none of them has.

    Examples
    --------
    >>> points = points_of({"sparsity": [0.5, 0.9], "seed": [0, 1]})
    >>> [point.name for point in choose_points(points, [("seed", "1")])]
    ['sparsity=0.5,seed=1', 'sparsity=0.9,seed=1']
    """
    axes: dict[str, list[str]] = {}
    for axis, value in wanted:
        known = list(dict.fromkeys(_text(point.axes[axis]) for point in points if axis in point.axes))
        if not known:
            names = dict.fromkeys(name for point in points for name in point.axes)
            raise UsageError(f"only: found axis {axis!r}, allowed {', '.join(names) or 'none'}")
        if _text(value) not in known:
            raise UsageError(f"only, {axis}: found {value!r}, allowed {', '.join(known)}")
        axes.setdefault(axis, []).append(_text(value))
    return tuple(
        point for point in points if all(_text(point.axes.get(axis)) in values for axis, values in axes.items())
    )


def change_points(points: Sequence[Point], fields: Mapping[str, Any]) -> tuple[Point, ...]:
    """The points with other values of some fields of their recipes.

    Raises
    ------
    UsageError
        A field that is an axis, an unknown one, or a value outside what is allowed.

    Examples
    --------
    >>> [point.recipe.examples.limit for point in change_points(points_of({"seed": [0, 1]}), {"limit": "6000"})]
    [6000, 6000]
    """
    axis = next((name for name in fields if any(name in point.axes for point in points)), None)
    if axis is not None:
        raise UsageError(f"set: found {axis}, which is an axis, allowed another field")
    return tuple(replace(point, recipe=Recipe.of({**point.recipe.flat(), **fields})) for point in points)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        value = "+".join(f"{key}{number}" for key, number in value.items())
    return re.sub(r"[^A-Za-z0-9.+()_-]", "-", str(value))
