"""NAME_run and NAME_run_batch: images one by one, or the fully connected end for many images at once."""

from dataclasses import dataclass

from export.c.graph.steps import Linear, Pointwise, Program
from export.c.layers import linear, pointwise
from export.c.layers.images import Images
from export.c.text import Code, joined

__all__ = ["Tile", "runs", "tail", "tile"]


@dataclass(frozen=True, slots=True)
class Tile:
    """Definitions and calls of the fully connected end over TILE images; where its result lies; floats per image."""

    definitions: Code
    calls: Code
    result: str
    size: int


def tail(program: Program) -> int | None:
    """The first step of the fully connected end, in which each step takes only what the one before gives.

    None where a network has no such end.
    """
    steps = program.steps
    uses = [name for step in steps for name in step.inputs]
    start, wanted = len(steps), program.output
    while start > 0:
        step = steps[start - 1]
        if not isinstance(step, Pointwise) and not (isinstance(step, Linear) and step.rows == 1):
            break
        if step.output != wanted or (start < len(steps) and uses.count(wanted) != 1):
            break
        wanted = step.inputs[0]
        start -= 1
    return start if any(isinstance(step, Linear) for step in steps[start:]) else None


def tile(program: Program, start: int, *, weights: str, unroll: str) -> Tile:
    """The steps from `start` on over TILE images, image innermost, to and fro between two halves of `tile`."""
    steps = program.steps[start:]
    sizes = [steps[0].weight.shape[1] if isinstance(steps[0], Linear) else steps[0].size]
    sizes += [step.size for step in steps]
    first = max(sizes[0::2])
    places = ["tile", f"tile + {first} * TILE"]
    definitions: list[Code] = []
    calls: list[Code | str] = []
    for i, step in enumerate(steps):
        here, there = places[i % 2], places[(i + 1) % 2]
        if isinstance(step, Linear):
            name = f"s{start + i}_{type(step).__name__.lower()}"
            definition, function = linear.linear_batch(name, step, weights=weights, unroll=unroll)
            definitions.append(definition)
            calls.append(f"{function}({here}, {there});")
            activation = step.activation
        else:
            assert isinstance(step, Pointwise)
            calls.append(f"memcpy({there}, {here}, {step.size} * TILE * sizeof(float));")
            activation = step.activation
        if activation is not None:
            calls.append(pointwise.activate(there, f"{step.size} * TILE", activation))
    return Tile(joined(definitions), joined(calls, "\n"), places[len(steps) % 2], first + max(sizes[1::2]))


def _indent(calls: str, depth: int) -> str:
    return "\n".join(line if line.startswith("#") or not line else "    " * depth + line for line in calls.splitlines())


def _join(calls: list[str]) -> str:
    return "\n".join(call for call in calls if call)


def _head(front: Images | None, count: int, macro: str) -> str:
    """Statements that fill the tile with what the fully connected end reads, image innermost."""
    single = f"""for (int i = 0; i < TILE; ++i) {{
    const float *x = head(input + (i < count ? i : count - 1) * {macro}_INPUT_SIZE);
    for (int j = 0; j < {count}; ++j) tile[j * TILE + i] = x[j];
}}"""
    if front is None:
        return single
    return f"""#if WIDE
for (int v = 0; v < TILE; v += LANES) {{
    const float *rows[LANES];
    float *features = tile + v;
    for (int i = 0; i < LANES; ++i) rows[i] = input + (v + i < count ? v + i : count - 1) * {macro}_INPUT_SIZE;
    together(rows, wide, {macro}_INPUT_SIZE);
{_indent(front.calls.text, 1)}
}}
#else
{single}
#endif"""


def runs(
    program: Program,
    calls: list[str],
    start: int | None,
    end: Tile,
    front: Images | None,
    features: list[str],
    stem: str,
    macro: str,
) -> str:
    """Both entry points.

    Parameters
    ----------
    program : Program
    calls : list of str
        What copies the input, the calls of every step, what copies the output.
    start : int or None
        First step of the fully connected end.
    end : Tile
        That end over many images; ignored where `start` is None.
    front : Images or None
        What comes before it over many images, or None where that runs image by image.
    features : list of str
        Where every step finds its first input.
    stem, macro : str
        Prefixes of functions and of macros.
    """
    one_by_one = f"""    for (int i = 0; i < n; ++i) {{
        const int status = {stem}_run(input, output);
        if (status != 0) return status;
        input += {macro}_INPUT_SIZE;
        output += {macro}_OUTPUT_SIZE;
    }}
    return 0;
}}
"""
    opening = f"int {stem}_run_batch(const float *input, float *output, int n) {{\n"
    opening += "    if (input == NULL || output == NULL || n < 0) return -1;\n"
    check = "    if (input == NULL || output == NULL) return -1;\n"
    if start is None:
        body = _indent(_join(calls), 1)
        run = f"int {stem}_run(const float *input, float *output) {{\n{check}{body}\n    return 0;\n}}\n"
        return f"{run}\n{opening}{one_by_one}"
    head = _join(calls[: start + 1])
    rest = _join(["(void)head(input);", *calls[start + 1 :]])
    step = program.steps[start]
    count = step.weight.shape[1] if isinstance(step, Linear) else step.size
    last = program.steps[-1].size
    return f"""/* The steps before the fully connected end, and where they leave their result. */
static const float *head(const float *input) {{
{_indent(head, 1)}
    return {features[start]};
}}

int {stem}_run(const float *input, float *output) {{
{check}{_indent(rest, 1)}
    return 0;
}}

{opening}#if TILE
    for (; n >= TILE / 2; n -= TILE) {{
        const int count = n < TILE ? n : TILE;
{_indent(_head(front, count, macro), 2)}
{_indent(end.calls.text, 2)}
        for (int i = 0; i < count; ++i)
            for (int j = 0; j < {last}; ++j) output[i * {last} + j] = ({end.result})[j * TILE + i];
        if (n <= TILE) return 0;
        input += count * {macro}_INPUT_SIZE;
        output += count * {macro}_OUTPUT_SIZE;
    }}
#endif
{one_by_one}"""
