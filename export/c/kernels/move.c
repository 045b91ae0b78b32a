/* A row of the columns, copied. */
#include "vectors.h"

static UNUSED void move(float *restrict r, const float *restrict q, int n) {
    int i = 0;
    for (; i + LANES <= n; i += LANES) STORE(r + i, LOAD(q + i));
    if (i < n && n >= LANES) STORE(r + n - LANES, LOAD(q + n - LANES));
    else for (; i < n; ++i) r[i] = q[i];
}
