"""Study B: threshold, mask, retrain: LeNet-5 with average pooling, and with LeCun's own connections of C3.

SGD (0.01, momentum 0.5). The threshold is found from the wanted sparsity. They apply the mask after every epoch, ours
after every step: a weight that was pruned never takes part in a forward pass. `torch.nn.utils.prune` does the same
from the same dense weights, side by side.
"""

import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deep_compress.charts import plot_curves
from deep_compress.studies.axes import Point, point_of
from deep_compress.studies.results import markdown_table
from deep_compress.studies.study import PLAIN, Study, report_of, write_text
from deep_compress.studies.sweep import Outcome

__all__ = ["STUDY"]

_SPARSITIES = {"lenet-5(pool=average)": (0.0, 0.5, 0.9, 0.99), "lenet-5(c3=lecun,pool=average)": (0.0, 0.9)}
"""By network: light, usual and extreme pruning beside none; LeCun's connections only where they are compared."""

_EPOCHS = 60
"""Of retraining: the curves are shown over as many."""

_PAUSE = 5
"""Epochs of dense training; after as many of retraining the accuracy is read, and torch's own pruning compared."""

_TIMED = 5
"""Timed runs of which the median is taken, after one to warm up."""


def _points() -> tuple[Point, ...]:
    base = {
        **PLAIN,
        "momentum": 0.5,
        "epochs": _PAUSE,
        "schedule": "one-shot",
        "retrain_epochs": _EPOCHS,
        "tune_epochs": 1,
    }
    return tuple(
        point_of(base, {"network": network, "sparsity": sparsity})
        for network, sparsities in _SPARSITIES.items()
        for sparsity in sparsities
    )


def _write(outcomes: Sequence[Outcome], directory: Path) -> None:
    parts: list[str] = []
    seconds = _test_seconds(outcomes)
    for number, network in enumerate(_SPARSITIES):
        chosen = [outcome for outcome in outcomes if outcome.point.axes["network"] == network]
        if not chosen:
            continue
        rows, curves = [], {}
        for outcome in chosen:
            report, sparsity = report_of(outcome), outcome.point.axes["sparsity"]
            retrained = [record for record in report.history if record.stage == "retrain"]
            after = retrained[_PAUSE - 1] if retrained else report.history[_PAUSE - 1]
            rows.append(
                [
                    sparsity,
                    f"{(after.held_out_accuracy or 0.0) / 100 * report.recipe['held_out']:.0f}",
                    _through_torch(outcome) if retrained else "–",
                    f"{report.test.file.percent:.2f}",
                    f"{report.file_bytes:,}",
                    f"{seconds[outcome.point.name]:.3f}",
                ]
            )
            losses = [record.loss for record in retrained]
            if losses:
                curves[f"{sparsity:g}"] = (list(range(1, len(losses) + 1)), losses)
        held_out = report_of(chosen[0]).recipe["held_out"]
        columns = ["sparsity", f"right of {held_out:,} held-out images after {_PAUSE} epochs"]
        columns += ["the same by torch.nn.utils.prune", "test % of the file", "bytes", "1,000 images in onnxruntime, s"]
        parts += [f"### {network}", markdown_table(columns, rows)]
        plot_curves(
            directory / f"loss-{number + 1}.png",
            f"{network}: training loss under masks, for every sparsity",
            ("epoch after pruning", "training loss, nats"),
            curves,
        )
    write_text(directory, *parts)


def _test_seconds(outcomes: Sequence[Outcome]) -> Mapping[str, float]:
    """Median seconds of onnxruntime on 1,000 images, one thread, the networks taking turns."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = {
        outcome.point.name: onnxruntime.InferenceSession(
            str(outcome.directory / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        for outcome in outcomes
    }
    inputs = np.zeros((1_000, 1, 32, 32), np.float32)
    samples: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(_TIMED + 1):
        for name, session in sessions.items():
            start = time.perf_counter()
            session.run(None, {"input": inputs})
            samples[name].append(time.perf_counter() - start)
    return {name: statistics.median(values[1:]) for name, values in samples.items()}


def _through_torch(outcome: Outcome) -> str:
    """Prune and retrain the run's dense weights with torch's own pruning; how many held-out images it gets right."""
    import torch
    from torch.nn.utils import prune

    from compress.datasets import DATASETS, normalise
    from compress.networks import describe
    from compress.networks.module import build_module
    from compress.networks.weights import load_weights_
    from compress.training.batches import Batches
    from compress.training.checkpoint import read_weights
    from compress.training.epochs import evaluate, fit

    recipe = outcome.point.recipe
    network = describe(recipe.network)
    module = build_module(network)
    load_weights_(module, read_weights(outcome.directory / "dense.safetensors"), network.parameters())
    layers: list[tuple[Any, str]] = [(part, "weight") for part in module if hasattr(part, "weight")]
    absent = sum(int(np.count_nonzero(~mask)) for mask in network.fixed_masks().values())
    total = sum(layer.weight.numel() for layer, _ in layers)
    amount = absent + round((total - absent) * recipe.pruning.sparsity)
    prune.global_unstructured(layers, pruning_method=prune.L1Unstructured, amount=amount)
    data = DATASETS[recipe.data](None)
    generator = torch.Generator().manual_seed(recipe.seed)
    order = torch.randperm(len(data.train), generator=generator)[: recipe.examples.limit or len(data.train)].numpy()

    def batches(chosen: Any, shuffled: "torch.Generator | None") -> Batches:
        images = torch.from_numpy(normalise(data, data.train.images[chosen], network.input_shape))
        return Batches(images, torch.from_numpy(data.train.labels[chosen]), recipe.examples.batch_size, shuffled)

    fit(
        module,
        batches(order[recipe.examples.held_out :], generator),
        stage="torch",
        epochs=_PAUSE,
        optimiser=lambda parameters: torch.optim.SGD(
            parameters, lr=recipe.pruning.retrain_learning_rate, momentum=recipe.training.momentum
        ),
    )
    _, accuracy = evaluate(module, batches(order[: recipe.examples.held_out], None))
    return f"{accuracy / 100 * recipe.examples.held_out:.0f}"


STUDY = Study(
    title="LeNet-5 with average pooling: threshold, mask, retrain; and torch's own", points=_points, write=_write
)
