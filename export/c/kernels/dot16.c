/* One output of a fully connected layer from a table of its nonzeros; its twin dot32 reads places of 32 bits.

   Four sums: the compiler may not reorder one, and would wait for every addition. */
#include "vectors.h"

static UNUSED float dot16(const float *restrict x, float bias, int n, const uint16_t *restrict at,
                   const float *restrict w) {
    float a = bias, b = 0.0f, c = 0.0f, d = 0.0f;
    int k = 0;
    for (; k + 4 <= n; k += 4) {
        a += w[k] * x[at[k]];
        b += w[k + 1] * x[at[k + 1]];
        c += w[k + 2] * x[at[k + 2]];
        d += w[k + 3] * x[at[k + 3]];
    }
    for (; k < n; ++k) a += w[k] * x[at[k]];
    return (a + b) + (c + d);
}
