/* Many images, laid image innermost. */
#include "vectors.h"

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
