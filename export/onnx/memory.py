"""What the bound on memory at load costs a file of target `onnx`, in words."""

from compress.representation import CompressedModel
from export.onnx.coded import plan_of_model

__all__ = ["remarks"]

_MIB = 1 << 20


def remarks(model: CompressedModel, *, functions: bool = True, max_load_memory: int | None = None) -> tuple[str, ...]:
    """Which layers are written with fixed widths because decoding Huffman's codes would take too much memory at load.

    Parameters
    ----------
    model : CompressedModel
    functions, max_load_memory
        As in `export.onnx.coded.dumps`.

    Returns
    -------
    tuple of str
        A line, or none where every layer is Huffman-coded.
    """
    plan = plan_of_model(model, functions=functions, max_load_memory=max_load_memory)
    if not plan.forced:
        return ()
    takes, allowed = (f"{size / _MIB:.1f} MiB" for size in (plan.memory, plan.max_load_memory))
    even_so = " even so" if plan.memory > plan.max_load_memory else ""
    layers = ", ".join(plan.forced)
    return (
        f"fixed widths, to spare memory at load: {layers} (decoding takes about {takes}{even_so}, allowed {allowed})",
    )
