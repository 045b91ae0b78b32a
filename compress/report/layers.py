"""The per-layer table in the columns of Deep Compression (Han et al. 2016, tables 4 and 5), from the packed file."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from compress.elements import ELEMENTS
from compress.packed.account import FileAccount, TensorAccount

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "CodingBytes",
    "LayerRow",
    "coding_bytes",
    "file_lines",
    "layer_rows",
    "layer_table",
    "rows_as_json",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRow:
    """One layer of the table: its coded weight and what goes with it (bias).

    Parameters
    ----------
    layer : str
    weights : int
        Values of the dense layer, pruned ones and bias included.
    kept : int
        Values that are left.
    weight_bits, weight_bits_coded : float or None
        Bits of a surviving weight's code before and after Huffman coding; None for a layer that is not coded.
    index_bits, index_bits_coded : float or None
        Bits of a surviving weight's position before and after Huffman coding, escapes counted.
    dense_bytes, payload_bytes : int
        In the tensor's element type; in the file, tables and codebook included.
    entropy_bytes : float
        Order-0 entropy of codes and gaps.
    ratio : float
        Dense bytes over those in the file; infinite for a layer without any.
    """

    layer: str
    weights: int
    kept: int
    weight_bits: float | None
    weight_bits_coded: float | None
    index_bits: float | None
    index_bits_coded: float | None
    dense_bytes: int
    payload_bytes: float
    entropy_bytes: float
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CodingBytes:
    """What codes and gaps cost, tables and lanes included, beside the order-0 entropy of their streams."""

    entropy_bytes: float
    coded_bytes: float


def layer_rows(account: FileAccount) -> tuple[LayerRow, ...]:
    """One row a tensor, in the file's order."""
    rows = []
    for tensor in account.tensors:
        coded = tensor.kind == "coded"
        rows.append(
            LayerRow(
                layer=tensor.name,
                weights=tensor.size,
                kept=tensor.nnz,
                weight_bits=None if tensor.bits is None else float(tensor.bits),
                weight_bits_coded=tensor.weight_bits_coded if coded else None,
                index_bits=tensor.index_bits if coded else None,
                index_bits_coded=tensor.index_bits_coded if coded else None,
                dense_bytes=_dense_bytes(tensor),
                payload_bytes=tensor.total_bytes,
                entropy_bytes=(tensor.code_entropy_bits + tensor.gap_entropy_bits) / 8,
                ratio=_ratio(_dense_bytes(tensor), tensor.total_bytes),
            )
        )
    return tuple(rows)


def _dense_bytes(tensor: TensorAccount) -> int:
    return ELEMENTS[tensor.element].stored_bytes(tensor.size)


def _ratio(dense_bytes: int, payload_bytes: float) -> float:
    return dense_bytes / payload_bytes if payload_bytes else float("inf")


def rows_as_json(rows: Sequence[LayerRow]) -> list[dict[str, Any]]:
    """The rows as plain values."""
    return [asdict(row) for row in rows]


def coding_bytes(account: FileAccount) -> CodingBytes:
    """What all streams of a file cost."""
    return CodingBytes(entropy_bytes=account.entropy_bits / 8, coded_bytes=account.coding_bits / 8)


def file_lines(account: FileAccount) -> list[str]:
    """The whole file in words: its bytes, the ratio to dense ones, where they go, the entropy beside them."""
    dense = sum(map(_dense_bytes, account.tensors))
    kind = "dense bytes" if _types(account) else "bytes of float32"
    coding = coding_bytes(account)
    parts = sorted(account.parts().items(), key=lambda part: -part[1])
    return [
        f"whole file: {account.file_bytes:,} bytes, {dense / account.file_bytes:.1f}× under {dense:,} {kind}",
        f"codes and gaps: {coding.coded_bytes:,.0f} bytes with tables, entropy {coding.entropy_bytes:,.0f} bytes",
        "where the bytes go: " + ", ".join(f"{name} {size:,.1f}" for name, size in parts if size),
    ]


def _types(account: FileAccount) -> list[str]:
    """The element type of every tensor, for what tells it; none where all are float32, which needs no telling."""
    types = [tensor.element for tensor in account.tensors]
    return types if set(types) - {"float32"} else []


def layer_table(account: FileAccount) -> "Table":
    """The table for a terminal; element types have a column where they are not all float32."""
    from rich.table import Table

    rows, types = layer_rows(account), _types(account)
    table = Table(title="Per layer", title_justify="left")
    table.add_column("tensor", no_wrap=True)
    if types:
        table.add_column("type")
    columns = ("weights", "kept", "kept %", "weight bits", "→ coded", "index bits", "→ coded")
    for column in (*columns, "dense bytes", "bytes", "entropy", "ratio"):
        table.add_column(column, justify="right")
    lines = [_cells(row) for row in (*rows, _total(rows))]
    if types:
        lines = [(name, kind, *rest) for (name, *rest), kind in zip(lines, (*types, "–"), strict=True)]
    for line in lines[:-1]:
        table.add_row(*line)
    table.add_section()
    table.add_row(*lines[-1], style="bold")
    return table


def _total(rows: Sequence[LayerRow]) -> LayerRow:
    dense_bytes, payload_bytes = sum(row.dense_bytes for row in rows), sum(row.payload_bytes for row in rows)
    return LayerRow(
        layer="all tensors",
        weights=sum(row.weights for row in rows),
        kept=sum(row.kept for row in rows),
        weight_bits=None,
        weight_bits_coded=None,
        index_bits=None,
        index_bits_coded=None,
        dense_bytes=dense_bytes,
        payload_bytes=payload_bytes,
        entropy_bytes=sum(row.entropy_bytes for row in rows),
        ratio=_ratio(dense_bytes, payload_bytes),
    )


def _cells(row: LayerRow) -> tuple[str, ...]:
    def bits(value: float | None) -> str:
        return "–" if value is None else f"{value:.2f}".rstrip("0").rstrip(".")

    return (
        row.layer,
        f"{row.weights:,}",
        f"{row.kept:,}",
        f"{100 * row.kept / row.weights:.1f}" if row.weights else "–",
        bits(row.weight_bits),
        bits(row.weight_bits_coded),
        bits(row.index_bits),
        bits(row.index_bits_coded),
        f"{row.dense_bytes:,}",
        f"{row.payload_bytes:,.1f}",
        f"{row.entropy_bytes:,.1f}" if row.entropy_bytes else "–",
        f"{row.ratio:.1f}×" if row.payload_bytes else "–",
    )
