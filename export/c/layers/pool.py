"""Pooling, alone or as the last stage of a convolution, and the way from padded planes to a plain value."""

from export.c.graph.steps import Convolution, Pool, Window
from export.c.layers.pointwise import applied
from export.c.text import Code, Piece

__all__ = ["PAST", "activates", "halves", "over_planes", "pool"]

PAST = 16
"""Floats behind its result that `over_planes` may overwrite: each row ends with a whole vector, of at most 16."""


def pool(name: str, step: Pool) -> Piece:
    """A pool over plain planes."""
    window = step.window
    body = _window(window)
    size = window.inside[0] * window.inside[1]
    definitions = _function(name, step.channels, size, window, body, "v")
    return Piece(Code(definitions), Code(f"{name}({{x}}, {{y}});"))


def over_planes(name: str, step: Convolution, plane: int) -> str:
    """A function that pools and activates some of a convolution's planes, `plane` floats apart; else it copies."""
    result = applied(step.activation, "v") if activates(step) else "v"
    if step.pool is not None and halves(step.pool):
        return _halved(name, step, step.pool, plane)
    if step.pool is not None:
        return _function(f"{name}_planes", None, plane, step.pool, _window(step.pool), result)
    size = step.outside[1] * step.outside[2]
    return f"""static void {name}_planes(const float *restrict x, float *restrict y, int channels) {{
    for (int c = 0; c < channels; ++c, x += {plane}, y += {size})
        for (int i = 0; i < {size}; ++i) {{ const float v = x[i]; y[i] = {result}; }}
}}
"""


def activates(step: Convolution) -> bool:
    """Whether `over_planes` applies the activation of a step, too."""
    simple = step.activation is None or step.activation.kind == "relu"
    return simple or step.pool is None or not halves(step.pool)


def _halved(name: str, step: Convolution, window: Window, plane: int) -> str:
    """Two rows and two columns at a time into one; whole vectors are written, each row over the excess of the last."""
    (height, width), row = window.outside, window.inside[1]
    relu = step.activation is not None and step.activation.kind == "relu"
    vector = "STORE(y + i, LARGER(v, SPLAT(0.0f)));" if relu else "STORE(y + i, v);"
    plain = _function(f"{name}_planes", None, plane, window, "", "(v > 0.0f ? v : 0.0f)" if relu else "v")
    return f"""#if LANES > 1
static void {name}_planes(const float *restrict x, float *restrict y, int channels) {{
    for (int c = 0; c < channels; ++c, x += {plane})
        for (int j = 0; j < {height}; ++j, y += {width})
            for (int i = 0; i < {width}; i += LANES) {{
                const float *q = x + {2 * row} * j + 2 * i;
                const vec a = LARGER(LOAD(q), LOAD(q + {row}));
                const vec b = LARGER(LOAD(q + LANES), LOAD(q + LANES + {row}));
                const vec v = LARGER(PICK(a, b, EVENS), PICK(a, b, ODDS));
                {vector}
            }}
}}
#else
{plain}#endif
"""


def halves(window: Window) -> bool:
    """The commonest pool: the largest of two by two, nothing overlapping, nothing padded."""
    return (
        window.kind == "max"
        and window.kernel == window.strides == (2, 2)
        and window.dilations == (1, 1)
        and window.pads == (0, 0, 0, 0)
        and all(2 * window.outside[i] <= window.inside[i] for i in (0, 1))
    )


def _function(name: str, channels: int | None, plane: int, window: Window, body: str, result: str) -> str:
    height, width = window.outside
    if halves(window):
        row = window.inside[1]
        body = f"""const float *q = x + {2 * row} * j;
            for (int i = 0; i < {width}; ++i) {{
                const float a = q[2 * i] > q[2 * i + 1] ? q[2 * i] : q[2 * i + 1];
                const float b = q[2 * i + {row}] > q[2 * i + {row + 1}] ? q[2 * i + {row}] : q[2 * i + {row + 1}];
                const float v = a > b ? a : b;
                y[i] = {result};
            }}"""
    else:
        body = f"""for (int i = 0; i < {width}; ++i) {{
{body}
                y[i] = {result};
            }}"""
    argument, count = (", int channels", "channels") if channels is None else ("", str(channels))
    return f"""static void {name}(const float *restrict x, float *restrict y{argument}) {{
    for (int c = 0; c < {count}; ++c, x += {plane})
        for (int j = 0; j < {height}; ++j, y += {width}) {{
            {body}
        }}
}}
"""


def _window(window: Window) -> str:
    """Statements that leave in `v` the pool of the window at output row j, column i of plane x."""
    (kh, kw), (sy, sx), (dy, dx) = window.kernel, window.strides, window.dilations
    top, left, bottom, right = window.pads
    height, width = window.inside
    whole = not any(window.pads) and all(
        (window.outside[i] - 1) * window.strides[i] + (window.kernel[i] - 1) * window.dilations[i] < window.inside[i]
        for i in (0, 1)
    )
    inside = "" if whole else f"if (r >= 0 && r < {height} && s >= 0 && s < {width}) "
    start = "-3.402823466e+38f" if window.kind == "max" else "0.0f"
    lines = [f"float v = {start};"]
    count = str(kh * kw)
    if window.kind == "average" and not whole:
        count = "n"
        lines.append("int n = 0;")
    lines.append(f"for (int m = 0; m < {kh}; ++m)")
    lines.append(f"    for (int k = 0; k < {kw}; ++k) {{")
    lines.append(f"        const int r = j * {sy} - {top} + m * {dy}, s = i * {sx} - {left} + k * {dx};")
    if window.kind == "max":
        lines.append(f"        {inside}v = x[r * {width} + s] > v ? x[r * {width} + s] : v;")
    else:
        if not whole and window.include_pad:
            lines.append(f"        if (r < {height + bottom} && s < {width + right}) ++n;")
        add = f"v += x[r * {width} + s];"
        if not whole and not window.include_pad:
            add = f"{{ {add} ++n; }}"
        lines.append(f"        {inside}{add}")
    lines.append("    }")
    if window.kind == "average":
        lines.append(f"v /= (float){count};")
    return "\n".join("                " + line for line in lines)
