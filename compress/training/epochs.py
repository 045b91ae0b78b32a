"""The one home of training loops: fitting under a constraint, measuring, gradients and activations over examples."""

import math
from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from compress.errors import CompressError, UsageError
from compress.networks.module import evaluating
from compress.observer import Observer, Silent
from compress.training.constraints import Constraint

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["EpochRecord", "evaluate", "fit", "gradients", "gram"]

_SILENT = Silent()


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """One epoch of training.

    Parameters
    ----------
    stage : str
        The stage of the pipeline it belongs to.
    epoch : int
        Counted from one within its stage.
    loss : float
        Mean training loss of the epoch, in nats.
    held_out_loss, held_out_accuracy : float or None
        On the examples held out from training; accuracy in percent. None where there are none.
    """

    stage: str
    epoch: int
    loss: float
    held_out_loss: float | None
    held_out_accuracy: float | None


class _Free:
    def __init__(self, module: "nn.Module") -> None:
        self._parameters = list(module.parameters())

    def parameters(self) -> "list[Tensor]":
        return list(self._parameters)

    def before_step_(self) -> None:
        """Nothing to keep true."""

    def after_step_(self) -> None:
        """Nothing to keep true."""


def fit(
    module: "nn.Module",
    batches: "Iterable[tuple[Tensor, Tensor]]",
    *,
    stage: str,
    epochs: int,
    optimiser: "Callable[[list[Tensor]], torch.optim.Optimizer]",
    rate: Callable[[int, int], float] | None = None,
    constraint: Constraint | None = None,
    held_out: "Iterable[tuple[Tensor, Tensor]] | None" = None,
    observer: Observer = _SILENT,
) -> list[EpochRecord]:
    """Train a module in place, minimising the negative log-likelihood of the labels under its logits.

    Parameters
    ----------
    module : torch.nn.Module
        Maps inputs [batch, ...] to logits [batch, classes].
    batches : iterable of (inputs, labels)
        Passed over once an epoch.
    stage : str
        Name in the records and in the progress.
    epochs : int
    optimiser : callable
        Builds an optimiser over a list of tensors; its learning rate is the highest one.
    rate : callable, optional
        From the step and the number of steps to the factor on the learning rate; it stays as it is by default.
    constraint : Constraint, optional
        What must stay true of the weights.
    held_out : iterable of (inputs, labels), optional
        Measured after every epoch.
    observer : Observer
        Told of every step and every epoch.

    Returns
    -------
    list of EpochRecord

    Raises
    ------
    CompressError
        The loss is no longer finite.
    UsageError
        A batch of one example, in a module with batch norm.
    """
    import torch
    from torch.nn import functional

    keeper = constraint or _Free(module)
    device = next(module.parameters()).device
    descent = optimiser(keeper.parameters())
    peaks = [group["lr"] for group in descent.param_groups]
    per_epoch = len(batches) if isinstance(batches, Sized) else sum(1 for _ in batches)
    total = max(1, epochs * per_epoch)
    records, step = [], 0
    for epoch in range(1, epochs + 1):
        module.train()
        summed, seen = 0.0, 0
        losses = []
        for batch in batches:
            inputs, labels = (tensor.to(device) for tensor in batch)
            for group, peak in zip(descent.param_groups, peaks, strict=True):
                group["lr"] = peak * (rate(step, total) if rate else 1.0)
            module.zero_grad(set_to_none=True)
            loss = functional.cross_entropy(_outputs(module, inputs, stage), labels)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            keeper.before_step_()
            descent.step()
            keeper.after_step_()
            losses.append(loss.detach() * len(labels))
            seen += len(labels)
            step += 1
            observer.progress(stage, min(step, total), total)
        if losses:
            summed = float(torch.stack(losses).sum())
        if not math.isfinite(summed):
            raise CompressError(
                f"{stage}: the loss is no longer finite in epoch {epoch}; lower the learning rate or check the data"
            )
        mean_loss, text = summed / max(1, seen), ""
        loss_out, accuracy_out = None, None
        if held_out is not None:
            loss_out, accuracy_out = evaluate(module, held_out)
            text = f", held-out accuracy {accuracy_out:.2f} %"
        observer.note(stage, f"epoch {epoch}/{epochs}: loss {mean_loss:.4f}{text}")
        records.append(
            EpochRecord(
                stage=stage, epoch=epoch, loss=mean_loss, held_out_loss=loss_out, held_out_accuracy=accuracy_out
            )
        )
    return records


def _outputs(module: "nn.Module", inputs: "Tensor", stage: str) -> "Tensor":
    """The logits in training, where torch's batch norm refuses a batch that holds one value a channel."""
    try:
        logits: Tensor = module(inputs)
    except ValueError as error:
        if len(inputs) != 1 or not str(error).startswith("Expected more than 1 value per channel"):
            raise
        raise UsageError(
            f"{stage}: found a batch of 1 example, allowed at least 2: the module has batch norm"
        ) from error
    return logits


def evaluate(module: "nn.Module", batches: "Iterable[tuple[Tensor, Tensor]]") -> tuple[float, float]:
    """Mean negative log-likelihood in nats, and accuracy in percent; the module's weights and mode stay as they are.

    Raises
    ------
    CompressError
        There is no example to measure on.
    """
    import torch
    from torch.nn import functional

    device = next(module.parameters()).device
    loss, correct, seen = 0.0, 0, 0
    with evaluating(module), torch.no_grad():
        for batch in batches:
            inputs, labels = (tensor.to(device) for tensor in batch)
            logits = module(inputs)
            loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
            correct += int((logits.argmax(1) == labels).sum())
            seen += len(labels)
    if seen == 0:
        raise CompressError("evaluation: found no examples, allowed at least one")
    return loss / seen, 100.0 * correct / seen


def gradients(module: "nn.Module", batches: "Iterable[tuple[Tensor, Tensor]]", limit: int) -> "dict[str, Tensor]":
    """Gradient of the mean negative log-likelihood over the first `limit` batches by every parameter, without dropout.

    The module's weights, gradients and mode stay as they are.
    """
    import torch
    from torch.nn import functional

    device = next(module.parameters()).device
    named = dict(module.named_parameters())
    sums = {name: torch.zeros_like(parameter) for name, parameter in named.items()}
    seen = 0
    with evaluating(module):
        for inputs, labels in islice(batches, limit):
            loss = functional.cross_entropy(module(inputs.to(device)), labels.to(device), reduction="sum")
            found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
            for name, gradient in zip(named, found, strict=True):
                if gradient is not None:
                    sums[name] += gradient
            seen += len(labels)
    return {name: total / max(1, seen) for name, total in sums.items()}


def gram(module: "nn.Module", layer: str, batches: "Iterable[tuple[Tensor, Tensor]]") -> "Tensor":
    """Inner products of a layer's outputs over all examples: float64 [features, features]; without dropout.

    Parameters
    ----------
    module : torch.nn.Module
        A chain of parts.
    layer : str
        One of them, whose output is [batch, features].
    batches : iterable of (inputs, labels)
    """
    import torch
    from torch import nn

    device = next(module.parameters()).device
    names = [name for name, _ in module.named_children()]
    front = nn.Sequential(*list(module.children())[: names.index(layer) + 1])
    total: Tensor | None = None
    with evaluating(front), torch.no_grad():
        for inputs, _ in batches:
            outputs = front(inputs.to(device)).double()
            product = outputs.T @ outputs
            total = product if total is None else total + product
    if total is None:
        raise CompressError("activations: found no examples, allowed at least one")
    return total
