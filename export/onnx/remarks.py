"""What a user should know of an ONNX file that decodes itself, in words."""

from export.onnx.decoder import Plan

__all__ = ["remarks_on"]

_MIB = 1 << 20
_WORTH_TELLING = 0.01
"""Part of the file by which short names must shorten it to be told: less is nobody's concern."""


def remarks_on(plan: Plan, shorter_by: int, size: int) -> tuple[str, ...]:
    """The lines on one file.

    Parameters
    ----------
    plan : Plan
        What was done with every tensor.
    shorter_by : int
        Bytes that short names saved.
    size : int
        Bytes of the file.

    Returns
    -------
    tuple of str
        Which layers have fixed widths because decoding Huffman's codes would take too much memory at load, or that no
        coding keeps the bound; what short names saved.
    """
    takes, allowed = (f"{memory / _MIB:.1f} MiB" for memory in (plan.memory, plan.max_load_memory))
    even_so = " even so" if plan.memory > plan.max_load_memory else ""
    found = []
    if plan.forced:
        found.append(
            f"fixed widths, to spare memory at load: {', '.join(plan.forced)}"
            f" (decoding takes about {takes}{even_so}, allowed {allowed})"
        )
    elif even_so:
        found.append(f"decoding takes about {takes} at load, allowed {allowed}: no coding takes so little")
    if shorter_by > _WORTH_TELLING * size:
        found.append(f"names of inner values were shortened by {shorter_by} bytes: --keep-names keeps them")
    return tuple(found)
