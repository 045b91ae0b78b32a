/* Hyperbolic tangent in place. */
#include <math.h>
#include "vectors.h"

static UNUSED void tanh_(float *y, int n) {
    for (int i = 0; i < n; ++i) y[i] = tanhf(y[i]);
}
