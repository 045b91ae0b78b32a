"""Short compressions of one dense network: what optuna proposes, within the bounds of the sensitivity scan.

They look at held-out images only, and do not depend on the goal, so that another goal can use them again.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from compress.errors import CompressError, UsageError
from compress.observer import Observer, Silent
from compress.packed import container
from compress.recipe.recipe import Recipe
from deep_compress.jobs.prepare import Prepared
from deep_compress.search.goal import Trial
from deep_compress.search.space import Settings, Space, fields_of, propose

__all__ = ["HOPELESS", "compress_with", "run_trials", "searchable", "trial_text"]

_SILENT = Silent()

HOPELESS = 10.0
"""Points below the dense network at which a short trial is of no interest to anyone: full retraining does
not bring so much back. It counts as large as the dense network, so that nothing like it is proposed."""


def searchable(recipe: Recipe) -> Recipe:
    """The recipe without what a search chooses itself.

    Raises
    ------
    UsageError
        The recipe asks for what sparsity and bits a layer cannot go with.
    """
    fixed = {
        "quality": recipe.pruning.quality,
        "pattern": recipe.pruning.pattern,
        "merge-layer": recipe.merging.merge_layer,
    }
    for name, value in fixed.items():
        if value:
            raise UsageError(
                f"{name}: found {value!r}, allowed none in a search, which chooses the sparsity of every layer"
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
            (trial.settings, trial.file_bytes if trial.percent >= dense - HOPELESS else dense_bytes, trial.percent)
            for trial in done
        ]
        trial = compress_with(prepared, space, propose(space, history, prepared.recipe.seed), short, _SILENT)
        if keep is not None:
            keep(trial)
        done.append(trial)
        observer.note("search", f"trial {len(done)}/{trials}: {trial_text(trial, dense)}")
        observer.progress("search", len(done), trials)
    return tuple(done)


def compress_with(
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


def trial_text(trial: Trial, dense: float) -> str:
    if trial.error is not None:
        return f"failed ({trial.error})"
    return (
        f"{trial.file_bytes:,} B, {trial.percent:.2f} % held-out ({trial.percent - dense:+.2f}), "
        f"sparsity {trial.fields['sparsity']:.4g}"
    )


def _dense_bytes(prepared: Prepared) -> int:
    assert prepared.weights is not None
    return 4 * sum(array.size for array in prepared.weights.values())
