"""The table of layers counts dense bytes in each tensor's element type, and names types that are not the usual."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from compress.packed import container
from compress.packed.account import FileAccount
from compress.report.layers import file_lines, layer_rows, layer_table

GOLDEN = Path(__file__).parent.parent / "golden"


def account(name: str) -> FileAccount:
    return container.account((GOLDEN / f"{name}.dcz").read_bytes())


def table(told: FileAccount) -> list[list[str]]:
    """The cells of every line of the table that has some."""
    console = Console(width=200, record=True, file=StringIO())
    console.print(layer_table(told))
    lines = console.export_text().splitlines()
    return [
        [cell.strip() for cell in line.strip("┃│").replace("┃", "│").split("│")] for line in lines if line[0] in "┃│"
    ]


@pytest.mark.parametrize("name", ["every-type", "zoo", "edges", "named-groups"])
def test_dense_bytes_are_those_of_the_dense_arrays(name: str) -> None:
    model = container.loads((GOLDEN / f"{name}.dcz").read_bytes())
    told = account(name)
    rows = layer_rows(told)
    assert sum(row.dense_bytes for row in rows) == model.dense_bytes
    for row, tensor in zip(rows, model.tensors, strict=True):
        four_bits = tensor.element in ("int4", "uint4")
        assert row.dense_bytes == ((tensor.size + 1) // 2 if four_bits else tensor.dense().nbytes)
        assert row.ratio == pytest.approx(row.dense_bytes / row.payload_bytes)
    assert f"{model.dense_bytes / told.file_bytes:.1f}× under {model.dense_bytes:,} " in file_lines(told)[0]


def test_types_have_a_column_where_they_are_not_all_float32() -> None:
    mixed = account("every-type")
    heads, *lines, total = table(mixed)
    assert heads[:3] == ["tensor", "type", "weights"]
    assert [line[:2] for line in lines] == [[tensor.name, tensor.element] for tensor in mixed.tensors]
    assert total[:2] == ["all tensors", "–"]
    assert file_lines(mixed)[0] == "whole file: 2,509 bytes, 3.9× under 9,900 dense bytes"


def test_float32_needs_no_telling() -> None:
    plain = account("zoo")
    heads, *lines, total = table(plain)
    assert heads[:2] == ["tensor", "weights"]
    assert [line[0] for line in lines] == [tensor.name for tensor in plain.tensors]
    assert total[:2] == ["all tensors", "61,706"]
    assert file_lines(plain)[0] == "whole file: 875 bytes, 282.1× under 246,824 bytes of float32"
