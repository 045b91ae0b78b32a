/* Logistic function in place. */
#include <math.h>
#include "vectors.h"

static UNUSED void sigmoid_(float *y, int n) {
    for (int i = 0; i < n; ++i) y[i] = 1.0f / (1.0f + expf(-y[i]));
}
