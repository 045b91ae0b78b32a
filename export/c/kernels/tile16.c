/* One output of a fully connected layer for TILE images, image innermost; its twin tile32 reads places of 32 bits.

   Four vectors of images and two nonzeros: eight sums under way at once, as many as hide a multiply-add of four cycles
   of which two begin in each. TILE is a multiple of 4 * LANES. */
#define TILE 64
#include "vectors.h"

#if TILE
static UNUSED void tile16(const float *restrict x, float *restrict y, float bias, int n,
                   const uint16_t *restrict at, const float *restrict w) {
    for (int v = 0; v < TILE; v += 4 * LANES) {
        vec a0 = SPLAT(bias), a1 = a0, a2 = a0, a3 = a0, b0 = SPLAT(0.0f), b1 = b0, b2 = b0, b3 = b0;
        int k = 0;
        for (; k + 2 <= n; k += 2) {
            const float *r = x + at[k] * TILE + v, *s = x + at[k + 1] * TILE + v;
            a0 += w[k] * LOAD(r + 0 * LANES);
            a1 += w[k] * LOAD(r + 1 * LANES);
            a2 += w[k] * LOAD(r + 2 * LANES);
            a3 += w[k] * LOAD(r + 3 * LANES);
            b0 += w[k + 1] * LOAD(s + 0 * LANES);
            b1 += w[k + 1] * LOAD(s + 1 * LANES);
            b2 += w[k + 1] * LOAD(s + 2 * LANES);
            b3 += w[k + 1] * LOAD(s + 3 * LANES);
        }
        if (k < n) {
            const float *r = x + at[k] * TILE + v;
            a0 += w[k] * LOAD(r);
            a1 += w[k] * LOAD(r + LANES);
            a2 += w[k] * LOAD(r + 2 * LANES);
            a3 += w[k] * LOAD(r + 3 * LANES);
        }
        STORE(y + v, a0 + b0);
        STORE(y + v + LANES, a1 + b1);
        STORE(y + v + 2 * LANES, a2 + b2);
        STORE(y + v + 3 * LANES, a3 + b3);
    }
}
#endif
