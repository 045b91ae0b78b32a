/* The opening of every generated file: vectors where the compiler has them, and what the kernels share.

   NAME stands for the prefix of the file's own macros. */
#include <stdint.h>

#if defined(__GNUC__) && !defined(NAME_SCALAR)
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
#define SPLAT(s) ((s) - (vec){0})

#if LANES > 1
typedef int32_t ints __attribute__((vector_size(4 * LANES)));
#if LANES == 16 && !defined(__clang__)
#define LARGER(a, b) __builtin_ia32_maxps512_mask((a), (b), (vec){0}, (unsigned short)65535, 4)
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
#define PICK(a, b, ...) __builtin_shuffle((a), (b), (ints){__VA_ARGS__})
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
#define WIDEN8(p) __builtin_ia32_pmovzxbd512_mask(*(const bytes16 *)(p), (lanes16){0}, (unsigned short)65535)
#define WIDEN16(p) __builtin_ia32_pmovzxwd512_mask(*(const pairs16 *)(p), (lanes16){0}, (unsigned short)65535)
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
