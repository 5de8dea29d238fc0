/* count_bits: a popcount that Frama-C's EVA can follow. Include it first (-include): the runtime then takes it.
 *
 * EVA keeps an interval for each variable. In the runtime's popcount, whose fields share a word, that is 0 to 255 for
 * any word; in this loop it is exact. That the two are equal for all 2^32 words is for a test to show.
 */
#ifndef COUNT_BITS_H
#define COUNT_BITS_H

#include <stdint.h>

static inline uint32_t count_bits(uint32_t word)
{
    uint32_t n = 0u;

    for (uint32_t i = 0u; i < 32u; i++) {
        n += (word >> i) & 1u;
    }
    return n;
}

#define QHN_POPCOUNT32(word) count_bits(word)

#endif
