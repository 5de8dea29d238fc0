/* arm_acle.h for Frama-C: what the runtime uses of the real one, in plain C. Analyse with -D__ARM_FEATURE_SIMD32 to
 * follow the code of cores with instructions on four bytes at a time. */
#ifndef ARM_ACLE_H
#define ARM_ACLE_H

#include <stdint.h>

/* USADA8: sum + |a_k - b_k| over the four bytes k. */
static inline uint32_t __usada8(uint32_t a, uint32_t b, uint32_t sum)
{
    for (uint32_t k = 0u; k < 32u; k += 8u) {
        const uint32_t x = (a >> k) & 255u;
        const uint32_t y = (b >> k) & 255u;

        sum += (x > y) ? (x - y) : (y - x);
    }
    return sum;
}

#endif
