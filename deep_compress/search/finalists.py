"""Full compressions of the most promising settings, and the choice among them.

The settings of the trials' front that come nearest to the goal are compressed in full, on held-out images: the test
set is read once, by the full run of what is chosen here.
"""

from collections.abc import Callable, Sequence

from compress.errors import CompressError
from compress.observer import Observer, Silent
from deep_compress.jobs.prepare import Prepared
from deep_compress.search.goal import Goal, Trial, front
from deep_compress.search.space import Settings, Space, scaled
from deep_compress.search.trials import HOPELESS, compress_with, trial_text

__all__ = ["choose"]

_SILENT = Silent()

_CLOSE = 0.98
"""Part of the wanted bytes from which on a file is not made any larger: the rest is no accuracy to speak of."""

_OVER = 1.03
"""How far over the wanted bytes a short trial may be whose full compression may come under them: tuning and
retraining move the entropy of codes by a few per cent."""

_NARROW = 0.97
"""A smaller file than so much of the best one is worth trying: a full compression for less is not."""


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
            trial = compress_with(prepared, space, settings, {}, _Prefixed(observer, f"finalist {number}"))
            if keep is not None:
                keep(trial)
        done.append(trial)
        observer.note("finalists", f"{len(done)} of at most {finalists}: {trial_text(trial, dense)}")
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
    candidates = [trial for trial in shown if trial.percent >= dense - HOPELESS] or list(shown[-1:])
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


def _key(settings: Settings) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(settings.items()))


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
