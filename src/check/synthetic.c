/* SPDX-License-Identifier: Apache-2.0 */
#include "check/synthetic.h"

#include <stddef.h>

#include "common/alloc.h"

#define SEED UINT64_C(20230524)
#define FRAMES_PER_KNOT 12 /* a sound lasts about a tenth of a second */
#define BINS_PER_KNOT 5    /* a formant is a few bins wide */

/* splitmix64 of a position: uniform in 0 .. 1. */
static double noise(uint64_t x, uint64_t y)
{
    uint64_t z = SEED + UINT64_C(0x9e3779b97f4a7c15) * (x * 4099 + y + 1);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

/* Bilinear between knots; only + and *, so that it is the same on every machine. */
static double smooth_noise(uint32_t frame, uint32_t bin)
{
    uint32_t x = frame / FRAMES_PER_KNOT, y = bin / BINS_PER_KNOT;
    double u = (frame % FRAMES_PER_KNOT) / (double)FRAMES_PER_KNOT;
    double v = (bin % BINS_PER_KNOT) / (double)BINS_PER_KNOT;
    double low = noise(x, y) * (1 - u) + noise(x + 1, y) * u;
    double high = noise(x, y + 1) * (1 - u) + noise(x + 1, y + 1) * u;
    return low * (1 - v) + high * v;
}

float *zm_check_mel(uint32_t frames, uint32_t bins)
{
    uint64_t count;
    if (!zm_mul_u64(frames, bins, &count))
        return NULL;
    float *mel = zm_calloc(count, sizeof(float));
    if (!mel)
        return NULL;
    for (uint32_t frame = 0; frame < frames; frame++) {
        for (uint32_t bin = 0; bin < bins; bin++) {
            double tilt = 0.5 * bin / bins; /* speech is louder at low frequencies */
            mel[(size_t)frame * bins + bin] =
                (float)(-1 + 2.5 * smooth_noise(frame, bin) * (1 - tilt));
        }
    }
    return mel;
}

int32_t *zm_check_tokens(uint32_t count, uint32_t vocabulary)
{
    int32_t *tokens = zm_calloc(count, sizeof(*tokens));
    for (uint32_t i = 0; tokens && i < count; i++)
        tokens[i] = (int32_t)(noise(i, vocabulary) * vocabulary);
    return tokens;
}
