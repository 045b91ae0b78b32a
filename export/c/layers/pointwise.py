"""Activations and the other element-wise steps: affine, sum, softmax, concatenation, transposition."""

from math import prod

from export.c.graph.steps import Activation, Add, Affine, Concat, Pointwise, Softmax, Transpose
from export.c.text import Code, Piece, array, joined, number

__all__ = ["activate", "add", "affine", "applied", "concat", "pointwise", "softmax", "transpose"]


def applied(activation: Activation | None, value: str) -> str:
    """The C expression of an activation of `value`, which is evaluated more than once and so must be a name."""
    if activation is None:
        return value
    if activation.kind == "relu":
        return f"({value} > 0.0f ? {value} : 0.0f)"
    if activation.kind == "leaky_relu":
        return f"({value} > 0.0f ? {value} : {number(activation.alpha)} * {value})"
    if activation.kind == "tanh":
        return f"tanhf({value})"
    return f"(1.0f / (1.0f + expf(-{value})))"


def activate(target: str, size: int | str, activation: Activation) -> Code:
    """A statement that applies an activation in place."""
    slope = f", {number(activation.alpha)}" if activation.kind == "leaky_relu" else ""
    kernel = f"{activation.kind}_"
    return Code(f"{kernel}({target}, {size}{slope});", frozenset({kernel}))


def pointwise(name: str, step: Pointwise) -> Piece:
    """An activation alone."""
    del name
    copy = f"memcpy({{y}}, {{x}}, {step.size} * sizeof(float));"
    return Piece(Code(), joined([copy, activate("{y}", step.size, step.activation)], "\n"))


def affine(name: str, step: Affine) -> Piece:
    """Scale and shift per channel."""
    channels = len(step.scale)
    definitions = (
        array(f"{name}_scale", step.scale, "float")
        + array(f"{name}_bias", step.bias, "float")
        + f"""static void {name}(const float *restrict x, float *restrict y) {{
    for (int c = 0; c < {channels}; ++c, x += {step.plane}, y += {step.plane})
        for (int i = 0; i < {step.plane}; ++i) y[i] = {name}_scale[c] * x[i] + {name}_bias[c];
}}
"""
    )
    return Piece(definitions, Code(f"{name}({{x}}, {{y}});"))


def _strides(shape: tuple[int, ...], out: tuple[int, ...]) -> list[int]:
    shape = (1,) * (len(out) - len(shape)) + shape
    return [0 if shape[i] == 1 else prod(shape[i + 1 :]) for i in range(len(out))]


def _nest(out: tuple[int, ...], body: str) -> str:
    """Loops i0, i1, … over a shape, `o` counting the elements."""
    lines = ["    int o = 0;"]
    for i, size in enumerate(out):
        lines.append("    " * (i + 1) + f"for (int i{i} = 0; i{i} < {size}; ++i{i})")
    lines.append("    " * (len(out) + 1) + body)
    return "\n".join(lines) + "\n"


def _at(strides: list[int]) -> str:
    return " + ".join(f"i{i} * {s}" for i, s in enumerate(strides) if s) or "0"


def add(name: str, step: Add) -> Piece:
    """A sum of two values or of a value and a constant, under broadcasting."""
    left, right = (_strides(shape, step.shape) for shape in step.shapes)
    definitions, second = Code(), "z"
    if step.constant is not None:
        definitions = array(f"{name}_constant", step.constant, "float")
        second = f"{name}_constant"
    if step.shapes[0] == step.shapes[1] == step.shape:
        body = f"    for (int o = 0; o < {step.size}; ++o) y[o] = x[o] + {second}[o];\n"
    else:
        body = _nest(step.shape, f"y[o++] = x[{_at(left)}] + {second}[{_at(right)}];")
    argument = "" if step.constant is not None else ", const float *z"
    definitions += f"static void {name}(const float *x, float *y{argument}) {{\n{body}}}\n"
    return Piece(definitions, Code(f"{name}({{x}}, {{y}}{'' if step.constant is not None else ', {x1}'});"))


def softmax(name: str, step: Softmax) -> Piece:
    """Softmax or its logarithm, the largest element taken off first."""
    n, inner = step.length, step.inner
    if step.logarithm:
        last = f"""const float log_sum = top + logf(sum);
            for (int i = 0; i < {n}; ++i) y[i * {inner}] = x[i * {inner}] - log_sum;"""
        term = "sum += expf(x[i * {0}] - top);"
    else:
        last = f"""const float factor = 1.0f / sum;
            for (int i = 0; i < {n}; ++i) y[i * {inner}] *= factor;"""
        term = "sum += y[i * {0}] = expf(x[i * {0}] - top);"
    definitions = f"""static void {name}(const float *restrict x, float *restrict y) {{
    for (int o = 0; o < {step.outer}; ++o, x += {(n - 1) * inner}, y += {(n - 1) * inner})
        for (int j = 0; j < {inner}; ++j, ++x, ++y) {{
            float top = x[0], sum = 0.0f;
            for (int i = 1; i < {n}; ++i) top = x[i * {inner}] > top ? x[i * {inner}] : top;
            for (int i = 0; i < {n}; ++i) {term.format(inner)}
            {last}
        }}
}}
"""
    return Piece(Code(definitions), Code(f"{name}({{x}}, {{y}});"))


def concat(name: str, step: Concat) -> Piece:
    """Values joined along an axis."""
    del name
    total = sum(step.lengths)
    lines, start = [], 0
    for i, length in enumerate(step.lengths):
        source = f"{{x{i or ''}}}"
        lines.append(
            f"for (int o = 0; o < {step.outer}; ++o) "
            f"memcpy({{y}} + o * {total} + {start}, {source} + o * {length}, {length} * sizeof(float));"
        )
        start += length
    return Piece(Code(), joined(lines, "\n"))


def transpose(name: str, step: Transpose) -> Piece:
    """Axes permuted."""
    source = _strides(step.source, step.source)
    source = [prod(step.source[i + 1 :]) for i in range(len(source))]
    body = _nest(step.shape, f"y[o++] = x[{_at([source[axis] for axis in step.axes])}];")
    definitions = f"static void {name}(const float *restrict x, float *restrict y) {{\n{body}}}\n"
    return Piece(Code(definitions), Code(f"{name}({{x}}, {{y}});"))
