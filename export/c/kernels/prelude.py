"""The opening of every generated file: vectors where the compiler has them, and the loops that all layers share."""

import re

from export.c.layers import dense

__all__ = ["TOGETHER", "functions", "vectors"]


def vectors(macro: str) -> str:
    """Vector type and macros; `macro` is the prefix of the file's own macros."""
    return f"""\
#if defined(__GNUC__) && !defined({macro}_SCALAR)
#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#elif defined(__SSE2__) || defined(__ARM_NEON) || defined(__ALTIVEC__) || defined(__wasm_simd128__)
#define LANES 4
#endif
#endif
#ifndef LANES
#define LANES 1
#endif

#if LANES > 1
typedef float vec __attribute__((vector_size(4 * LANES)));
typedef float loose __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
#else
typedef float vec;
typedef float loose;
#endif
#define LOAD(p) (*(const loose *)(p))
#define STORE(p, v) (*(loose *)(p) = (v))
#define SPLAT(s) ((s) - (vec){{0}})

#if LANES > 1
typedef int32_t ints __attribute__((vector_size(4 * LANES)));
#if LANES == 16 && !defined(__clang__)
#define LARGER(a, b) __builtin_ia32_maxps512_mask((a), (b), (vec){{0}}, (unsigned short)65535, 4)
#else
#define LARGER(a, b) ((vec)(((ints)(a) & ((a) > (b))) | ((ints)(b) & ~((a) > (b)))))
#endif
#if LANES == 16
#define EVENS 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODDS 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define LOWS 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGHS 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif LANES == 8
#define EVENS 0, 2, 4, 6, 8, 10, 12, 14
#define ODDS 1, 3, 5, 7, 9, 11, 13, 15
#define LOWS 0, 8, 1, 9, 2, 10, 3, 11
#define HIGHS 4, 12, 5, 13, 6, 14, 7, 15
#else
#define EVENS 0, 2, 4, 6
#define ODDS 1, 3, 5, 7
#define LOWS 0, 4, 1, 5
#define HIGHS 2, 6, 3, 7
#endif
#if defined(__clang__) || __GNUC__ >= 12
#define PICK(a, b, ...) __builtin_shufflevector((a), (b), __VA_ARGS__)
#else
#define PICK(a, b, ...) __builtin_shuffle((a), (b), (ints){{__VA_ARGS__}})
#endif
#endif

/* Thirty-two vector registers: blocks of accumulators stay in them. */
#if LANES == 16 || (LANES == 4 && defined(__aarch64__))
#define WIDE 1
#else
#define WIDE 0
#endif

#if LANES == 16 && (defined(__clang__) || __GNUC__ >= 9)
#define PERMUTES 1
typedef int32_t lanes16 __attribute__((vector_size(64)));
#if defined(__clang__)
typedef uint8_t bytes16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint16_t pairs16 __attribute__((vector_size(32), aligned(1), may_alias));
#define WIDEN8(p) __builtin_convertvector(*(const bytes16 *)(p), lanes16)
#define WIDEN16(p) __builtin_convertvector(*(const pairs16 *)(p), lanes16)
#define PERMUTE(a, b, p) ((vec)__builtin_ia32_vpermi2varps512((a), (p), (b)))
#else
typedef char bytes16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef short pairs16 __attribute__((vector_size(32), aligned(1), may_alias));
#define WIDEN8(p) __builtin_ia32_pmovzxbd512_mask(*(const bytes16 *)(p), (lanes16){{0}}, (unsigned short)65535)
#define WIDEN16(p) __builtin_ia32_pmovzxwd512_mask(*(const pairs16 *)(p), (lanes16){{0}}, (unsigned short)65535)
#define PERMUTE(a, b, p) __builtin_shuffle((vec)(a), (vec)(b), (p))
#endif
#define BUSY(v, p) ((vec)((ints)(v) & ((p) < 1024)))
#else
#define PERMUTES 0
#endif

#if defined(__GNUC__) && !defined(__clang__)
#define NOINLINE __attribute__((noinline, noclone))
#pragma GCC optimize("fp-contract=fast")
#elif defined(__GNUC__)
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE
#endif
/* Forget what a pointer points to, so that a table is read and not copied into registers that spill. */
#if defined(__GNUC__)
#define HIDE(p) __asm__("" : "+r"(p))
#else
#define HIDE(p) (void)(p)
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT ON
#endif
#if defined(__GNUC__)
#define ALIGNED __attribute__((aligned(64)))
#define UNUSED __attribute__((unused))
#else
#define ALIGNED
#define UNUSED
#endif
"""


_SUMS = 8
"""Sums under way at once: a multiply-add takes about four cycles, and two begin in each."""


def _positions(vectors: int) -> str:
    """The pass over `vectors` vectors of positions; few vectors take several nonzeros at a time, each its own sums."""
    sets = max(1, _SUMS // vectors) if vectors > 1 else 4
    first = ", ".join(f"a{i} = SPLAT(bias)" for i in range(vectors))
    others = "".join(f", {'abcd'[s]}{i} = SPLAT(0.0f)" for s in range(1, sets) for i in range(vectors))
    loop = ""
    for step in dict.fromkeys((sets, 1)):
        head = "for (; k < n; ++k)" if step == 1 else f"for (; k + {step} <= n; k += {step})"
        loop += f"        {head} {{\n"
        for s in range(step):
            behind = f" + {s}" if s else ""
            loop += f"            const float *r{s} = x + at[k{behind}] + p;\n"
        for i in range(vectors):
            for s in range(step):
                behind = f" + {s}" if s else ""
                loop += f"            {'abcd'[s]}{i} += w[k{behind}] * LOAD(r{s} + {i} * LANES);\n"
        loop += "        }\n"
    stores = ""
    for i in range(vectors):
        total = " + ".join(f"{'abcd'[s]}{i}" for s in range(sets))
        stores += f"        STORE(y + p + {i} * LANES, {total});\n"
    return f"""\
    for (; p + {vectors} * LANES <= positions; p += {vectors} * LANES) {{
        vec {first}{others};
        int k = 0;
{loop}{stores}    }}
"""


def _row(width: int) -> str:
    return f"""\
/* y[p] = bias + sum of w[k] * x[at[k] + p], for as many positions as whole vectors hold. */
static void row{width}(const float *restrict x, float *restrict y, float bias, int n,
                  const uint{width}_t *restrict at, const float *restrict w, int positions) {{
    int p = 0;
{"".join(_positions(vectors) for vectors in (8, 4, 2, 1))}}}
"""


def _dot(width: int) -> str:
    return f"""\
static float dot{width}(const float *restrict x, float bias, int n, const uint{width}_t *restrict at,
                   const float *restrict w) {{
    float a = bias, b = 0.0f, c = 0.0f, d = 0.0f;
    int k = 0;
    for (; k + 4 <= n; k += 4) {{
        a += w[k] * x[at[k]];
        b += w[k + 1] * x[at[k + 1]];
        c += w[k + 2] * x[at[k + 2]];
        d += w[k + 3] * x[at[k + 3]];
    }}
    for (; k < n; ++k) a += w[k] * x[at[k]];
    return (a + b) + (c + d);
}}
"""


def _tile(width: int) -> str:
    sums = "\n            ".join(
        f"{c}{i} += {w} * LOAD({r} + {i} * LANES);"
        for c, w, r in (("a", "w[k]", "r"), ("b", "w[k + 1]", "s"))
        for i in range(4)
    )
    return f"""\
#if TILE
static void tile{width}(const float *restrict x, float *restrict y, float bias, int n,
                   const uint{width}_t *restrict at, const float *restrict w) {{
    for (int v = 0; v < TILE; v += 4 * LANES) {{
        vec a0 = SPLAT(bias), a1 = a0, a2 = a0, a3 = a0, b0 = SPLAT(0.0f), b1 = b0, b2 = b0, b3 = b0;
        int k = 0;
        for (; k + 2 <= n; k += 2) {{
            const float *r = x + at[k] * TILE + v, *s = x + at[k + 1] * TILE + v;
            {sums}
        }}
        if (k < n) {{
            const float *r = x + at[k] * TILE + v;
            a0 += w[k] * LOAD(r);
            a1 += w[k] * LOAD(r + LANES);
            a2 += w[k] * LOAD(r + 2 * LANES);
            a3 += w[k] * LOAD(r + 3 * LANES);
        }}
        STORE(y + v, a0 + b0);
        STORE(y + v + LANES, a1 + b1);
        STORE(y + v + 2 * LANES, a2 + b2);
        STORE(y + v + 3 * LANES, a3 + b3);
    }}
}}
#endif
"""


_DENSE = """\
/* sum[i] = sum of w[j * 16 + i] * x[j]. */
static void dense16(const float *restrict x, float *restrict sum, const float *restrict w, int columns) {
    for (int v = 0; v < 16; v += LANES) {
        const float *q = w + v;
        vec a0 = SPLAT(0.0f), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0;
        int j = 0;
        for (; j + 8 <= columns; j += 8, q += 128) {
            a0 += x[j] * LOAD(q);
            a1 += x[j + 1] * LOAD(q + 16);
            a2 += x[j + 2] * LOAD(q + 32);
            a3 += x[j + 3] * LOAD(q + 48);
            a4 += x[j + 4] * LOAD(q + 64);
            a5 += x[j + 5] * LOAD(q + 80);
            a6 += x[j + 6] * LOAD(q + 96);
            a7 += x[j + 7] * LOAD(q + 112);
        }
        for (; j < columns; ++j, q += 16) a0 += x[j] * LOAD(q);
        STORE(sum + v, ((a0 + a1) + (a2 + a3)) + ((a4 + a5) + (a6 + a7)));
    }
}
"""

_MOVE = """\
static void move(float *restrict r, const float *restrict q, int n) {
    int i = 0;
    for (; i + LANES <= n; i += LANES) STORE(r + i, LOAD(q + i));
    if (i < n && n >= LANES) STORE(r + n - LANES, LOAD(q + n - LANES));
    else for (; i < n; ++i) r[i] = q[i];
}
"""

_SPILL = """\
/* As move, but in whole vectors: reads and overwrites what lies behind the row. */
static void spill(float *restrict r, const float *restrict q, int n) {
    for (int i = 0; i < n; i += LANES) STORE(r + i, LOAD(q + i));
}
"""

TOGETHER = """\
/* LANES images of n values each, laid image innermost: a transposition by shuffles, as many at once as fit. */
static void together(const float *const *rows, float *restrict y, int n) {
    for (int j = 0; j + LANES <= n; j += LANES) {
        vec r[LANES], t[LANES];
        for (int i = 0; i < LANES; ++i) r[i] = LOAD(rows[i] + j);
        for (int turn = 1; turn < LANES; turn *= 2) {
            for (int i = 0; i < LANES / 2; ++i) {
                t[2 * i] = PICK(r[i], r[i + LANES / 2], LOWS);
                t[2 * i + 1] = PICK(r[i], r[i + LANES / 2], HIGHS);
            }
            for (int i = 0; i < LANES; ++i) r[i] = t[i];
        }
        for (int i = 0; i < LANES; ++i) STORE(y + (j + i) * LANES, r[i]);
    }
    for (int i = 0; i < LANES; ++i)
        for (int j = n / LANES * LANES; j < n; ++j) y[j * LANES + i] = rows[i][j];
}
"""

_TAKE = """\
/* The next `width` bits of a stream, least significant first. */
static uint32_t take(const uint8_t *stream, uint32_t *bit, int width) {
    const uint8_t *p = stream + (*bit >> 3);
    const uint32_t window = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
    const uint32_t value = (window >> (*bit & 7)) & ((1u << width) - 1u);
    *bit += (uint32_t)width;
    return value;
}
"""

_ACTIVATIONS = {
    "relu_": "static void relu_(float *y, int n) {\n"
    "    for (int i = 0; i < n; ++i) y[i] = y[i] > 0.0f ? y[i] : 0.0f;\n}\n",
    "leaky_relu_": "static void leaky_relu_(float *y, int n, float alpha) {\n"
    "    for (int i = 0; i < n; ++i) y[i] = y[i] > 0.0f ? y[i] : alpha * y[i];\n}\n",
    "tanh_": "static void tanh_(float *y, int n) {\n    for (int i = 0; i < n; ++i) y[i] = tanhf(y[i]);\n}\n",
    "sigmoid_": "static void sigmoid_(float *y, int n) {\n"
    "    for (int i = 0; i < n; ++i) y[i] = 1.0f / (1.0f + expf(-y[i]));\n}\n",
}


def functions(body: str) -> str:
    """The shared functions that `body` calls."""
    parts = []
    if "= take(" in body or "[take(" in body:
        parts.append(_TAKE)
    for width in (16, 32):
        for call, text in (
            (f" row{width}(", _row),
            (f" dot{width}(", _dot),
            (f" tile{width}(", _tile),
            (f" block{width}(", dense.function),
        ):
            if call in body:
                parts.append(text(width))
    if " move(" in body:
        parts.append(_MOVE)
    if " spill(" in body:
        parts.append(_SPILL)
    if " dense16(" in body:
        parts.append(_DENSE)
    parts += [text for call, text in _ACTIVATIONS.items() if re.search(rf"\b{call}\(", body)]
    # Which of them are called depends on the vectors at hand.
    return "\n".join(part.replace("static ", "static UNUSED ", 1) for part in parts)
