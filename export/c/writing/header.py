"""The header: functions, shapes, and the bytes of flash and RAM."""

from math import prod

from export.c.graph.steps import Program
from export.c.text import TILE

__all__ = ["header_text"]


def header_text(
    program: Program, stem: str, *, ram_bytes: int, tile_bytes: int, wide_bytes: int, table_bytes: int
) -> str:
    """The text of `stem.h`.

    Parameters
    ----------
    program : Program
    stem : str
    ram_bytes : int
        Static memory that is written to, without the tile.
    tile_bytes : int
        What every image of a tile adds; 0 where the network has no fully connected end.
    wide_bytes : int
        What tiles need once, whatever their size.
    table_bytes : int
        Constant tables.
    """
    macro = stem.upper()
    tile = ""
    if tile_bytes:
        tile = f"""/* Images that {stem}_run_batch takes through the fully connected layers at once: {TILE}, or 0,
   which needs no memory for it and is the default where there is no operating system. Define it to choose. */
#ifndef {macro}_TILE
#if defined(__unix__) || defined(__APPLE__) || defined(_WIN32)
#define {macro}_TILE {TILE}
#else
#define {macro}_TILE 0
#endif
#endif

"""
    extra = f" + {tile_bytes} * {macro}_TILE" if tile_bytes else ""
    extra += f" + ({macro}_TILE ? {wide_bytes} : 0)" if wide_bytes else ""
    return f"""/* {stem}.h: generated with {stem}.c. */
#ifndef {macro}_H
#define {macro}_H

#define {macro}_INPUT_SIZE {prod(program.input_shape)}
#define {macro}_OUTPUT_SIZE {prod(program.output_shape)}
/* Without the batch axis, which comes first. */
#define {macro}_INPUT_SHAPE {{{", ".join(map(str, program.input_shape))}}}
#define {macro}_OUTPUT_SHAPE {{{", ".join(map(str, program.output_shape)) or "1"}}}

{tile}/* RAM: all static memory that is written to; less where there are fewer than 32 vector registers. */
#define {macro}_WORKSPACE_BYTES ({ram_bytes}{extra})
/* Flash: the constant tables where vectors are narrow (a microcontroller). The code comes on top, as much as the
   compiler makes of it: `size` of the object file tells both together, as text. */
#define {macro}_TABLE_BYTES {table_bytes}

#ifdef __cplusplus
extern "C" {{
#endif

/* One image, row-major float32; returns 0, or -1 where a pointer is null. Not reentrant: the workspace is static. */
int {stem}_run(const float *input, float *output);

/* n images behind each other; returns 0, or -1 where a pointer is null or n negative. */
int {stem}_run_batch(const float *input, float *output, int n);

#ifdef __cplusplus
}}
#endif

#endif
"""
