"""The smallest file within a drop of accuracy, or the best accuracy within a size: sparsity and bits of every layer.

Short compressions of one dense network, with settings that a sensitivity scan bounds and optuna proposes, give a front
of bytes against accuracy; the settings of it that come nearest to the goal are compressed in full, and the best of
these is chosen. All of this looks at held-out images only: the test set is read once, by the full run of what was
chosen. The trials do not depend on the goal, so that another goal can use them again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compress.errors import CompressError, UsageError
from compress.observer import Observer, Silent
from compress.packed import container
from compress.recipe.recipe import Recipe
from deep_compress.jobs.prepare import Prepared
from deep_compress.search.front import front_of
from deep_compress.search.space import Settings, Space, fields_of, propose, scaled

__all__ = ["Goal", "Trial", "choose", "front", "provisional", "run_trials", "searchable"]

_SILENT = Silent()
_HOPELESS = 10.0
"""Points below the dense network at which a short trial is of no interest to anyone."""

_CLOSE = 0.98
"""Part of the wanted bytes from which on a file is not made any larger."""

_OVER = 1.03
"""How far over the wanted bytes a short trial may be whose full compression may come under them."""

_NARROW = 0.97
"""A smaller file than so much of the best one is worth trying."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What is searched for: exactly one of the two.

    Parameters
    ----------
    max_drop : float, optional
        Points of accuracy that the file may lose against the dense network; the smallest file is wanted.
    target_bytes : int, optional
        Bytes that the file may have; the most accurate one is wanted.

    Raises
    ------
    UsageError
        Neither or both, or one outside what is allowed.
    """

    max_drop: float | None = None
    target_bytes: int | None = None

    def __post_init__(self) -> None:
        if (self.max_drop is None) == (self.target_bytes is None):
            found = "neither" if self.max_drop is None else "both"
            raise UsageError(f"search: found {found} of max-drop and target-size, allowed one of them")
        if self.max_drop is not None and not 0 <= self.max_drop <= 100:
            raise UsageError(f"max-drop: found {self.max_drop:g}, allowed 0 to 100 points")
        if self.target_bytes is not None and self.target_bytes < 1:
            raise UsageError(f"target-size: found {self.target_bytes}, allowed at least 1 byte")

    def __str__(self) -> str:
        return f"drop{self.max_drop:g}" if self.max_drop is not None else f"{self.target_bytes}B"

    def is_met(self, trial: "Trial", dense: float) -> bool:
        """Whether a trial loses little enough, or is small enough; a failed one never."""
        if trial.error is not None:
            return False
        if self.max_drop is not None:
            return trial.percent >= dense - self.max_drop - 1e-9
        assert self.target_bytes is not None
        return trial.file_bytes <= self.target_bytes

    def best(self, trials: Sequence["Trial"], dense: float) -> "Trial | None":
        """Of those that meet the goal the smallest, or the most accurate."""
        met = [trial for trial in trials if self.is_met(trial, dense)]
        by_size = self.max_drop is not None
        return min(
            met,
            key=lambda t: (t.file_bytes, -t.percent) if by_size else (-t.percent, t.file_bytes),
            default=None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Settings, and what a compression with them came to.

    Parameters
    ----------
    settings : Settings
    fields : mapping of str to value
        The fields of the recipe that they stand for.
    file_bytes : int
    percent : float
        Accuracy on held-out images.
    error : str, optional
        Why the compression failed; then the two numbers are the dense network's bytes, and zero.
    """

    settings: Settings
    fields: Mapping[str, Any] = field(repr=False)
    file_bytes: int
    percent: float
    error: str | None = None


def searchable(recipe: Recipe) -> Recipe:
    """The recipe without what a search chooses itself.

    Raises
    ------
    UsageError
        The recipe asks for what sparsity and bits a layer cannot go with.
    """
    for name in ("quality", "pattern", "merge_layer"):
        if getattr(recipe, name):
            raise UsageError(
                f"{name.replace('_', '-')}: found {getattr(recipe, name)!r}, allowed none in a search, "
                "which chooses the sparsity of every layer"
            )
    defaults = Recipe().flat()
    chosen = ("scope", "layer_sparsity", "sparsity", "bits")
    return Recipe.of({**recipe.flat(), **{name: defaults[name] for name in chosen}})


def run_trials(
    prepared: Prepared,
    space: Space,
    dense: float,
    *,
    trials: int,
    trial_epochs: int,
    known: Sequence[Trial] = (),
    keep: Callable[[Trial], None] | None = None,
    observer: Observer = _SILENT,
) -> tuple[Trial, ...]:
    """Short compressions: one round of pruning, a few epochs of retraining, and no tuning.

    Parameters
    ----------
    prepared : Prepared
        With the weights of the dense network.
    space : Space
    dense : float
        Accuracy of the dense network on held-out images, in percent.
    trials, trial_epochs : int
        Trials altogether, and epochs of retraining in each.
    known : sequence of Trial
        The first ones, from an earlier search; they are not run again.
    keep : callable, optional
        Called with every trial that is run.
    observer : Observer
    """
    short = {"rounds": 1, "schedule": "one-shot", "retrain_epochs": trial_epochs, "tune_epochs": 0}
    done = list(known)[:trials]
    dense_bytes = _dense_bytes(prepared)
    observer.progress("search", len(done), trials)
    while len(done) < trials:
        history = [
            (trial.settings, trial.file_bytes if trial.percent >= dense - _HOPELESS else dense_bytes, trial.percent)
            for trial in done
        ]
        trial = _compress(prepared, space, propose(space, history, prepared.recipe.seed), short, _SILENT)
        if keep is not None:
            keep(trial)
        done.append(trial)
        observer.note("search", f"trial {len(done)}/{trials}: {_text(trial, dense)}")
        observer.progress("search", len(done), trials)
    return tuple(done)


def front(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Those that no other beats in both bytes and accuracy, the smallest first."""
    sound = [trial for trial in trials if trial.error is None]
    return tuple(sound[i] for i in front_of([(float(trial.file_bytes), -trial.percent) for trial in sound]))


def provisional(trials: Sequence[Trial], goal: Goal, dense: float) -> Trial | None:
    """What is best by the short trials alone; without one that meets the goal, the one nearest to it."""
    shown = front(trials)
    if not shown:
        return None
    return goal.best(shown, dense) or (shown[-1] if goal.max_drop is not None else shown[0])


def choose(
    prepared: Prepared,
    space: Space,
    goal: Goal,
    dense: float,
    trials: Sequence[Trial],
    *,
    finalists: int,
    known: Sequence[Trial] = (),
    keep: Callable[[Trial], None] | None = None,
    observer: Observer = _SILENT,
) -> tuple[Trial, tuple[Trial, ...]]:
    """Compress the most promising settings in full, and choose among these.

    For a drop of accuracy the front is bisected for the smallest file that keeps to it, and the gap below that file
    further; for a size the most accurate trials within it are taken, and grown to fill it.

    Parameters
    ----------
    prepared, space, dense
        As for `run_trials`.
    goal : Goal
    trials : sequence of Trial
        The short ones.
    finalists : int
        Full compressions at most.
    known : sequence of Trial
        Full compressions of an earlier search; they are not run again.
    keep : callable, optional
        Called with every full compression that is run.
    observer : Observer

    Returns
    -------
    Trial, tuple of Trial
        The chosen one, and all that were compressed in full, in their order.

    Raises
    ------
    CompressError
        None met the goal: how near the best came.
    """
    remembered = {_key(trial.settings): trial for trial in known}
    done: list[Trial] = []

    def full(settings: Settings) -> Trial:
        trial = remembered.get(_key(settings))
        if trial is None:
            number = len(done) + 1
            trial = _compress(prepared, space, settings, {}, _Prefixed(observer, f"finalist {number}"))
            if keep is not None:
                keep(trial)
        done.append(trial)
        observer.note("finalists", f"{len(done)} of at most {finalists}: {_text(trial, dense)}")
        observer.progress("finalists", len(done), finalists)
        return trial

    seek = _seek_smallest if goal.max_drop is not None else _seek_best
    seek(front(trials), goal, dense, finalists, done, full)
    observer.progress("finalists", finalists, finalists)
    chosen = goal.best(done, dense)
    if chosen is None:
        raise CompressError(_out_of_reach(goal, dense, [t for t in done if t.error is None], front(trials)))
    return chosen, tuple(done)


def _seek_smallest(
    shown: Sequence[Trial], goal: Goal, dense: float, most: int, done: list[Trial], full: Callable[[Settings], Trial]
) -> None:
    candidates = [trial for trial in shown if trial.percent >= dense - _HOPELESS] or list(shown[-1:])
    sure = next((place for place, trial in enumerate(candidates) if goal.is_met(trial, dense)), len(candidates) - 1)
    low, high = 0, sure + 1
    while low < high and len(done) < most:
        middle = (low + high) // 2
        if goal.is_met(full(candidates[middle].settings), dense):
            high = middle
        else:
            low = middle + 1
    for trial in candidates[high:]:
        if len(done) >= most or goal.best(done, dense):
            break
        full(trial.settings)
    while len(done) < most:
        best = goal.best(done, dense)
        if best is None:
            break
        smaller = max((t.file_bytes for t in done if t.file_bytes < best.file_bytes), default=best.file_bytes // 2)
        if smaller > _NARROW * best.file_bytes:
            break
        settings = scaled(best.settings, (smaller / best.file_bytes) ** 0.5)
        if settings == best.settings:
            break
        full(settings)


def _seek_best(
    shown: Sequence[Trial], goal: Goal, dense: float, most: int, done: list[Trial], full: Callable[[Settings], Trial]
) -> None:
    assert goal.target_bytes is not None
    if not shown:
        return
    candidates = [trial for trial in reversed(shown) if trial.file_bytes <= _OVER * goal.target_bytes]
    for trial in candidates or shown[:1]:
        if len(done) >= max(1, most // 2):
            break
        full(trial.settings)
    while len(done) < most:
        best = goal.best(done, dense)
        start = best or min(done, key=lambda trial: trial.file_bytes)
        if best is not None and best.file_bytes >= _CLOSE * goal.target_bytes:
            break
        settings = scaled(start.settings, (_CLOSE + 1) / 2 * goal.target_bytes / start.file_bytes)
        if any(_key(settings) == _key(trial.settings) for trial in done):
            break
        full(settings)


def _compress(
    prepared: Prepared, space: Space, settings: Settings, changes: Mapping[str, Any], observer: Observer
) -> Trial:
    """Compress the dense network with the recipe and settings; training that diverges is a failed trial."""
    from compress.front_ends.module import compress_network

    fields, start = fields_of(space, settings), prepared.start()
    recipe = Recipe.of({**prepared.recipe.flat(), **fields, **changes})
    try:
        result = compress_network(
            start.module, recipe, train=start.train, held_out=start.held_out, graph=prepared.graph, observer=observer
        )
    except UsageError:
        raise
    except CompressError as error:
        size = _dense_bytes(prepared)
        return Trial(settings=settings, fields=fields, file_bytes=size, percent=0.0, error=str(error))
    percent = result.stages[-1].held_out_accuracy
    assert percent is not None
    return Trial(settings=settings, fields=fields, file_bytes=len(container.dumps(result.model)), percent=percent)


def _dense_bytes(prepared: Prepared) -> int:
    assert prepared.weights is not None
    return 4 * sum(array.size for array in prepared.weights.values())


def _key(settings: Settings) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(settings.items()))


def _text(trial: Trial, dense: float) -> str:
    if trial.error is not None:
        return f"failed ({trial.error})"
    return (
        f"{trial.file_bytes:,} B, {trial.percent:.2f} % held-out ({trial.percent - dense:+.2f}), "
        f"sparsity {trial.fields['sparsity']:.4g}"
    )


def _out_of_reach(goal: Goal, dense: float, done: Sequence[Trial], shown: Sequence[Trial]) -> str:
    tried = done or shown
    if not tried:
        return "search: every trial failed; see its lines above"
    if goal.max_drop is not None:
        best = max(tried, key=lambda trial: trial.percent)
        return (
            f"max-drop: nothing stayed within {goal.max_drop:g} points of {dense:.2f} %; the best had "
            f"{best.percent:.2f} % at {best.file_bytes:,} B; allow more, or more trials"
        )
    least = min(tried, key=lambda trial: trial.file_bytes)
    return f"target-size: nothing came under {goal.target_bytes:,} B; the smallest had {least.file_bytes:,} B"


class _Prefixed:
    """An observer's stages under the name of what they belong to."""

    def __init__(self, observer: Observer, prefix: str) -> None:
        self._observer, self._prefix = observer, prefix

    def progress(self, stage: str, done: int, total: int) -> None:
        self._observer.progress(f"{self._prefix}, {stage}", done, total)

    def note(self, stage: str, text: str) -> None:
        self._observer.note(f"{self._prefix}, {stage}", text)
