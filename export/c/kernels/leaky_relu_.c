/* Leaky ReLU in place. */
#include "vectors.h"

static UNUSED void leaky_relu_(float *y, int n, float alpha) {
    for (int i = 0; i < n; ++i) y[i] = y[i] > 0.0f ? y[i] : alpha * y[i];
}
