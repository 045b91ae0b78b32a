/* Six output channels of a convolution over every tap, zeros and all; its twin block32 reads places of 32 bits.

   Six sums share each load. Four vectors of positions where there are 32 vector registers (24 sums and four inputs, and
   four to spare), two where there are 16 (12 sums and two inputs, and two to spare). */
#include "vectors.h"

static UNUSED void block16(const float *restrict x, float *restrict y, const float *restrict bias, int taps,
                    const uint16_t *restrict at, const float *restrict w, int positions, int n) {
    int p = 0;
#if WIDE
    for (; p + 4 * LANES <= positions; p += 4 * LANES) {
        const float *q = w;
        vec a00 = SPLAT(bias[0]), a01 = SPLAT(bias[0]), a02 = SPLAT(bias[0]), a03 = SPLAT(bias[0]), a10 = SPLAT(bias[1]), a11 = SPLAT(bias[1]), a12 = SPLAT(bias[1]), a13 = SPLAT(bias[1]), a20 = SPLAT(bias[2]), a21 = SPLAT(bias[2]), a22 = SPLAT(bias[2]), a23 = SPLAT(bias[2]), a30 = SPLAT(bias[3]), a31 = SPLAT(bias[3]), a32 = SPLAT(bias[3]), a33 = SPLAT(bias[3]), a40 = SPLAT(bias[4]), a41 = SPLAT(bias[4]), a42 = SPLAT(bias[4]), a43 = SPLAT(bias[4]), a50 = SPLAT(bias[5]), a51 = SPLAT(bias[5]), a52 = SPLAT(bias[5]), a53 = SPLAT(bias[5]);
        for (int k = 0; k < taps; ++k, q += 6) {
            const float *r = x + at[k] + p;
            const vec v0 = LOAD(r + 0 * LANES), v1 = LOAD(r + 1 * LANES), v2 = LOAD(r + 2 * LANES), v3 = LOAD(r + 3 * LANES);
            a00 += q[0] * v0; a01 += q[0] * v1; a02 += q[0] * v2; a03 += q[0] * v3;
            a10 += q[1] * v0; a11 += q[1] * v1; a12 += q[1] * v2; a13 += q[1] * v3;
            a20 += q[2] * v0; a21 += q[2] * v1; a22 += q[2] * v2; a23 += q[2] * v3;
            a30 += q[3] * v0; a31 += q[3] * v1; a32 += q[3] * v2; a33 += q[3] * v3;
            a40 += q[4] * v0; a41 += q[4] * v1; a42 += q[4] * v2; a43 += q[4] * v3;
            a50 += q[5] * v0; a51 += q[5] * v1; a52 += q[5] * v2; a53 += q[5] * v3;
        }
        { STORE(y + 0 * positions + p + 0 * LANES, a00); STORE(y + 0 * positions + p + 1 * LANES, a01); STORE(y + 0 * positions + p + 2 * LANES, a02); STORE(y + 0 * positions + p + 3 * LANES, a03); }
        if (n > 1) { STORE(y + 1 * positions + p + 0 * LANES, a10); STORE(y + 1 * positions + p + 1 * LANES, a11); STORE(y + 1 * positions + p + 2 * LANES, a12); STORE(y + 1 * positions + p + 3 * LANES, a13); }
        if (n > 2) { STORE(y + 2 * positions + p + 0 * LANES, a20); STORE(y + 2 * positions + p + 1 * LANES, a21); STORE(y + 2 * positions + p + 2 * LANES, a22); STORE(y + 2 * positions + p + 3 * LANES, a23); }
        if (n > 3) { STORE(y + 3 * positions + p + 0 * LANES, a30); STORE(y + 3 * positions + p + 1 * LANES, a31); STORE(y + 3 * positions + p + 2 * LANES, a32); STORE(y + 3 * positions + p + 3 * LANES, a33); }
        if (n > 4) { STORE(y + 4 * positions + p + 0 * LANES, a40); STORE(y + 4 * positions + p + 1 * LANES, a41); STORE(y + 4 * positions + p + 2 * LANES, a42); STORE(y + 4 * positions + p + 3 * LANES, a43); }
        if (n > 5) { STORE(y + 5 * positions + p + 0 * LANES, a50); STORE(y + 5 * positions + p + 1 * LANES, a51); STORE(y + 5 * positions + p + 2 * LANES, a52); STORE(y + 5 * positions + p + 3 * LANES, a53); }
    }
#endif
    for (; p + 2 * LANES <= positions; p += 2 * LANES) {
        const float *q = w;
        vec a00 = SPLAT(bias[0]), a01 = SPLAT(bias[0]), a10 = SPLAT(bias[1]), a11 = SPLAT(bias[1]), a20 = SPLAT(bias[2]), a21 = SPLAT(bias[2]), a30 = SPLAT(bias[3]), a31 = SPLAT(bias[3]), a40 = SPLAT(bias[4]), a41 = SPLAT(bias[4]), a50 = SPLAT(bias[5]), a51 = SPLAT(bias[5]);
        for (int k = 0; k < taps; ++k, q += 6) {
            const float *r = x + at[k] + p;
            const vec v0 = LOAD(r + 0 * LANES), v1 = LOAD(r + 1 * LANES);
            a00 += q[0] * v0; a01 += q[0] * v1;
            a10 += q[1] * v0; a11 += q[1] * v1;
            a20 += q[2] * v0; a21 += q[2] * v1;
            a30 += q[3] * v0; a31 += q[3] * v1;
            a40 += q[4] * v0; a41 += q[4] * v1;
            a50 += q[5] * v0; a51 += q[5] * v1;
        }
        { STORE(y + 0 * positions + p + 0 * LANES, a00); STORE(y + 0 * positions + p + 1 * LANES, a01); }
        if (n > 1) { STORE(y + 1 * positions + p + 0 * LANES, a10); STORE(y + 1 * positions + p + 1 * LANES, a11); }
        if (n > 2) { STORE(y + 2 * positions + p + 0 * LANES, a20); STORE(y + 2 * positions + p + 1 * LANES, a21); }
        if (n > 3) { STORE(y + 3 * positions + p + 0 * LANES, a30); STORE(y + 3 * positions + p + 1 * LANES, a31); }
        if (n > 4) { STORE(y + 4 * positions + p + 0 * LANES, a40); STORE(y + 4 * positions + p + 1 * LANES, a41); }
        if (n > 5) { STORE(y + 5 * positions + p + 0 * LANES, a50); STORE(y + 5 * positions + p + 1 * LANES, a51); }
    }
    for (; p + 1 * LANES <= positions; p += 1 * LANES) {
        const float *q = w;
        vec a00 = SPLAT(bias[0]), a10 = SPLAT(bias[1]), a20 = SPLAT(bias[2]), a30 = SPLAT(bias[3]), a40 = SPLAT(bias[4]), a50 = SPLAT(bias[5]);
        for (int k = 0; k < taps; ++k, q += 6) {
            const float *r = x + at[k] + p;
            const vec v0 = LOAD(r + 0 * LANES);
            a00 += q[0] * v0;
            a10 += q[1] * v0;
            a20 += q[2] * v0;
            a30 += q[3] * v0;
            a40 += q[4] * v0;
            a50 += q[5] * v0;
        }
        { STORE(y + 0 * positions + p + 0 * LANES, a00); }
        if (n > 1) { STORE(y + 1 * positions + p + 0 * LANES, a10); }
        if (n > 2) { STORE(y + 2 * positions + p + 0 * LANES, a20); }
        if (n > 3) { STORE(y + 3 * positions + p + 0 * LANES, a30); }
        if (n > 4) { STORE(y + 4 * positions + p + 0 * LANES, a40); }
        if (n > 5) { STORE(y + 5 * positions + p + 0 * LANES, a50); }
    }
}
