/* A short row of the columns, copied in whole vectors. */
#include "vectors.h"

/* As move, but in whole vectors: reads and overwrites what lies behind the row. */
static UNUSED void spill(float *restrict r, const float *restrict q, int n) {
    for (int i = 0; i < n; i += LANES) STORE(r + i, LOAD(q + i));
}
