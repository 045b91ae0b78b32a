/* Sixteen outputs of a fully connected layer with few zeros: eight sums hide the latency of a multiply-add. */
#include "vectors.h"

/* sum[i] = sum of w[j * 16 + i] * x[j]. */
static UNUSED void dense16(const float *restrict x, float *restrict sum, const float *restrict w, int columns) {
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
