/* The next bits of a packed stream. */
#include "vectors.h"

/* The next `width` bits of a stream, least significant first. */
static UNUSED uint32_t take(const uint8_t *stream, uint32_t *bit, int width) {
    const uint8_t *p = stream + (*bit >> 3);
    const uint32_t window = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
    const uint32_t value = (window >> (*bit & 7)) & ((1u << width) - 1u);
    *bit += (uint32_t)width;
    return value;
}
