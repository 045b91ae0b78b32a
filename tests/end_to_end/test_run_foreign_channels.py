"""`compress run` on a user's own residual network, its channels removed, through the real command line."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import onnx

from compress.packed.container import load
from compress.representation import CodedTensor

OWN = """
import torch
from torch import nn

class Residual(nn.Module):
    def __init__(self, classes, channels):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(channels, 8, 5, stride=4, bias=False), nn.BatchNorm2d(8)
        self.inner, self.outer = nn.Conv2d(8, 12, 3, padding=1), nn.Conv2d(12, 8, 3, padding=1)
        self.head = nn.Linear(8, classes)

    def forward(self, inputs):
        stem = torch.relu(self.norm(self.stem(inputs)))
        return self.head(torch.relu(stem + self.outer(torch.relu(self.inner(stem)))).mean((2, 3)))

def build(classes, channels):
    return Residual(classes, channels)
"""


def test_a_users_residual_network_shrinks_in_all_its_files(
    command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "own_network.py").write_text(OWN, "utf-8")
    fields = ["limit=700", "held_out=100", "prune_begin=1", "prune_end=3", "prune_frequency=2", "scope=uniform"]
    options = ["--network", "own_network:build", "--criterion", "channel-l1", "--sparsity", "0.5", "--epochs", "1"]
    settings = [part for field in fields for part in ("--set", field)]
    quick = ["--retrain-epochs", "1", "--tune-epochs", "0", "--out", "run", "--quiet"]
    command("compress", "run", *options, *settings, *quick, cwd=tmp_path)

    model = load(tmp_path / "run" / "model.dcz")
    shapes = {tensor.name: tensor.shape for tensor in model.tensors if isinstance(tensor, CodedTensor)}
    assert shapes == {
        "stem.weight": (4, 1, 5, 5),
        "inner.weight": (6, 4, 3, 3),
        "outer.weight": (4, 6, 3, 3),
        "head.weight": (10, 4),
    }
    report = json.loads((tmp_path / "run" / "report.json").read_text("utf-8"))
    stages = [record["stage"] for record in report["history"]]
    assert stages == ["train", "prune 0", "prune 1", "prune 1", "retrain"]
    assert report["test"]["file"]["total"] == 10_000
    dense = onnx.load(tmp_path / "run" / "dense.onnx")
    assert {tuple(i.dims) for i in dense.graph.initializer if i.name == "inner.weight"} == {(12, 8, 3, 3)}
    command("compress", "unpack", "run/model.dcz", "-o", "small.onnx", cwd=tmp_path)
    small = onnx.load(tmp_path / "small.onnx")
    assert {tuple(i.dims) for i in small.graph.initializer if i.name == "inner.weight"} == {(6, 4, 3, 3)}
