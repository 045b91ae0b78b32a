/* ReLU in place; of NaN it is 0. */
#include "vectors.h"

static UNUSED void relu_(float *y, int n) {
    for (int i = 0; i < n; ++i) y[i] = y[i] > 0.0f ? y[i] : 0.0f;
}
