/* One output channel of a convolution from a table of its nonzeros; its twin row32 reads places of 32 bits.

   Eight vectors of positions a pass, then four, two and one for what is left. A multiply-add takes about four cycles and
   two begin in each, so eight sums under way at once keep the units busy; where two or four vectors are left, as many
   nonzeros at a time as make eight sums; where one is left, four, which is what its index, weight and input loads feed. */
#include "vectors.h"

/* y[p] = bias + sum of w[k] * x[at[k] + p], for as many positions as whole vectors hold. */
static UNUSED void row16(const float *restrict x, float *restrict y, float bias, int n,
                  const uint16_t *restrict at, const float *restrict w, int positions) {
    int p = 0;
    for (; p + 8 * LANES <= positions; p += 8 * LANES) {
        vec a0 = SPLAT(bias), a1 = SPLAT(bias), a2 = SPLAT(bias), a3 = SPLAT(bias), a4 = SPLAT(bias), a5 = SPLAT(bias), a6 = SPLAT(bias), a7 = SPLAT(bias);
        int k = 0;
        for (; k < n; ++k) {
            const float *r0 = x + at[k] + p;
            a0 += w[k] * LOAD(r0 + 0 * LANES);
            a1 += w[k] * LOAD(r0 + 1 * LANES);
            a2 += w[k] * LOAD(r0 + 2 * LANES);
            a3 += w[k] * LOAD(r0 + 3 * LANES);
            a4 += w[k] * LOAD(r0 + 4 * LANES);
            a5 += w[k] * LOAD(r0 + 5 * LANES);
            a6 += w[k] * LOAD(r0 + 6 * LANES);
            a7 += w[k] * LOAD(r0 + 7 * LANES);
        }
        STORE(y + p + 0 * LANES, a0);
        STORE(y + p + 1 * LANES, a1);
        STORE(y + p + 2 * LANES, a2);
        STORE(y + p + 3 * LANES, a3);
        STORE(y + p + 4 * LANES, a4);
        STORE(y + p + 5 * LANES, a5);
        STORE(y + p + 6 * LANES, a6);
        STORE(y + p + 7 * LANES, a7);
    }
    for (; p + 4 * LANES <= positions; p += 4 * LANES) {
        vec a0 = SPLAT(bias), a1 = SPLAT(bias), a2 = SPLAT(bias), a3 = SPLAT(bias), b0 = SPLAT(0.0f), b1 = SPLAT(0.0f), b2 = SPLAT(0.0f), b3 = SPLAT(0.0f);
        int k = 0;
        for (; k + 2 <= n; k += 2) {
            const float *r0 = x + at[k] + p;
            const float *r1 = x + at[k + 1] + p;
            a0 += w[k] * LOAD(r0 + 0 * LANES);
            b0 += w[k + 1] * LOAD(r1 + 0 * LANES);
            a1 += w[k] * LOAD(r0 + 1 * LANES);
            b1 += w[k + 1] * LOAD(r1 + 1 * LANES);
            a2 += w[k] * LOAD(r0 + 2 * LANES);
            b2 += w[k + 1] * LOAD(r1 + 2 * LANES);
            a3 += w[k] * LOAD(r0 + 3 * LANES);
            b3 += w[k + 1] * LOAD(r1 + 3 * LANES);
        }
        for (; k < n; ++k) {
            const float *r0 = x + at[k] + p;
            a0 += w[k] * LOAD(r0 + 0 * LANES);
            a1 += w[k] * LOAD(r0 + 1 * LANES);
            a2 += w[k] * LOAD(r0 + 2 * LANES);
            a3 += w[k] * LOAD(r0 + 3 * LANES);
        }
        STORE(y + p + 0 * LANES, a0 + b0);
        STORE(y + p + 1 * LANES, a1 + b1);
        STORE(y + p + 2 * LANES, a2 + b2);
        STORE(y + p + 3 * LANES, a3 + b3);
    }
    for (; p + 2 * LANES <= positions; p += 2 * LANES) {
        vec a0 = SPLAT(bias), a1 = SPLAT(bias), b0 = SPLAT(0.0f), b1 = SPLAT(0.0f), c0 = SPLAT(0.0f), c1 = SPLAT(0.0f), d0 = SPLAT(0.0f), d1 = SPLAT(0.0f);
        int k = 0;
        for (; k + 4 <= n; k += 4) {
            const float *r0 = x + at[k] + p;
            const float *r1 = x + at[k + 1] + p;
            const float *r2 = x + at[k + 2] + p;
            const float *r3 = x + at[k + 3] + p;
            a0 += w[k] * LOAD(r0 + 0 * LANES);
            b0 += w[k + 1] * LOAD(r1 + 0 * LANES);
            c0 += w[k + 2] * LOAD(r2 + 0 * LANES);
            d0 += w[k + 3] * LOAD(r3 + 0 * LANES);
            a1 += w[k] * LOAD(r0 + 1 * LANES);
            b1 += w[k + 1] * LOAD(r1 + 1 * LANES);
            c1 += w[k + 2] * LOAD(r2 + 1 * LANES);
            d1 += w[k + 3] * LOAD(r3 + 1 * LANES);
        }
        for (; k < n; ++k) {
            const float *r0 = x + at[k] + p;
            a0 += w[k] * LOAD(r0 + 0 * LANES);
            a1 += w[k] * LOAD(r0 + 1 * LANES);
        }
        STORE(y + p + 0 * LANES, a0 + b0 + c0 + d0);
        STORE(y + p + 1 * LANES, a1 + b1 + c1 + d1);
    }
    for (; p + 1 * LANES <= positions; p += 1 * LANES) {
        vec a0 = SPLAT(bias), b0 = SPLAT(0.0f), c0 = SPLAT(0.0f), d0 = SPLAT(0.0f);
        int k = 0;
        for (; k + 4 <= n; k += 4) {
            const float *r0 = x + at[k] + p;
            const float *r1 = x + at[k + 1] + p;
            const float *r2 = x + at[k + 2] + p;
            const float *r3 = x + at[k + 3] + p;
            a0 += w[k] * LOAD(r0 + 0 * LANES);
            b0 += w[k + 1] * LOAD(r1 + 0 * LANES);
            c0 += w[k + 2] * LOAD(r2 + 0 * LANES);
            d0 += w[k + 3] * LOAD(r3 + 0 * LANES);
        }
        for (; k < n; ++k) {
            const float *r0 = x + at[k] + p;
            a0 += w[k] * LOAD(r0 + 0 * LANES);
        }
        STORE(y + p + 0 * LANES, a0 + b0 + c0 + d0);
    }
}
