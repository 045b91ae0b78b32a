"""A report of a run that never was, made by its own types; for what reads reports."""

from typing import Any

from compress.packed.account import FileAccount, StreamAccount, TensorAccount
from compress.recipe.recipe import Recipe
from compress.report.layers import coding_bytes, layer_rows
from compress.training.epochs import EpochRecord
from deep_compress.jobs.run_report import FileAccuracy, HeldOut, RunReport, TestAccuracy, WrittenTarget

__all__ = ["run_report"]

_CODES = StreamAccount(coder="huffman", count=8, table_bits=4, lane_bits=0, payload_bits=16, entropy_bits=15.5)
_ACCOUNT = FileAccount(
    file_bytes=7000,
    frame_bits=48,
    checksum_bits=32,
    graph_bits=80,
    provenance_bits=40,
    padding_bits=4,
    tensors=(
        TensorAccount(
            name="fc.weight", shape=(4, 5), kind="coded", size=20, nnz=8, metadata_bits=9, bits=3, gap_bits=4,
            codebook_bits=64, codes=_CODES, gaps=_CODES,
        ),
        TensorAccount(name="fc.bias", shape=(4,), kind="dense", size=4, nnz=4, metadata_bits=9, dense_bits=128),
    ),
)  # fmt: skip


def run_report(*, dense_percent: float = 99.1, file_percent: float = 99.0, **changes: Any) -> RunReport:
    """A complete report, with changes."""
    fields: dict[str, Any] = {
        "recipe": Recipe().flat(),
        "sparsity": 0.9,
        "dense_bytes": 246_824,
        "file_bytes": 7000,
        "ratio": 35.26,
        "coding": coding_bytes(_ACCOUNT),
        "account": _ACCOUNT,
        "layers": layer_rows(_ACCOUNT),
        "test": TestAccuracy(
            dense=FileAccuracy(correct=991, total=1000, percent=dense_percent),
            file=FileAccuracy(correct=990, total=1000, percent=file_percent),
        ),
        "held_out": {
            "train": HeldOut(loss=0.03, percent=dense_percent),
            "tune": HeldOut(loss=0.04, percent=file_percent),
        },
        "onnx_difference": 1e-7,
        "history": (EpochRecord(stage="train", epoch=1, loss=0.1, held_out_loss=None, held_out_accuracy=None),),
        "versions": {"python": "3.12"},
        "machine": "Linux x86_64",
        "targets": {"onnx": WrittenTarget(files=("model.onnx",), remarks=())},
        "files": {"model.onnx": 1000},
        "seconds": {"train": 1.0},
    }
    return RunReport(**{**fields, **changes})
