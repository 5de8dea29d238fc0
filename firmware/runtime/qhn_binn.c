/* qhn_binn: rows, heads and packing of an integer binary neural network; contracts are in the header. */
#include "qhn_binn.h"

/* Number of 1 bits of a uint32_t. Define QHN_POPCOUNT32(word) to use an instruction of the core; the builtin is
 * taken only where it is known to be one, because elsewhere it calls a library function that is slower than
 * the portable forms below. Optimised for size, the set bits are counted one by one. */
#ifndef QHN_POPCOUNT32
#if defined(__GNUC__) && (defined(__POPCNT__) || defined(__aarch64__) || defined(__riscv_zbb))
#define QHN_POPCOUNT32(word) ((uint32_t)__builtin_popcount(word))
#elif !defined(__OPTIMIZE_SIZE__)
#define QHN_POPCOUNT32(word) popcount32(word)

#if defined(__AVR__)
/* The same as below, byte by byte. */
static uint8_t popcount8(uint8_t v)
{
    v = (uint8_t)(v - ((v >> 1) & 0x55u));
    v = (uint8_t)((v & 0x33u) + ((v >> 2) & 0x33u));
    return (uint8_t)(((unsigned)v + ((unsigned)v >> 4)) & 0x0fu);
}

static uint8_t popcount32(uint32_t v)
{
    uint8_t count = popcount8((uint8_t)v);

    count = (uint8_t)(count + popcount8((uint8_t)(v >> 8)));
    count = (uint8_t)(count + popcount8((uint8_t)(v >> 16)));
    return (uint8_t)(count + popcount8((uint8_t)(v >> 24)));
}
#else
/* Adds neighbouring fields of 1, 2 and 4 bits; the product then adds the four bytes into the highest. */
static uint32_t popcount32(uint32_t v)
{
    v = v - ((v >> 1) & 0x55555555u);
    v = (v & 0x33333333u) + ((v >> 2) & 0x33333333u);
    v = (v + (v >> 4)) & 0x0f0f0f0fu;
    return (v * 0x01010101u) >> 24;
}
#endif
#endif
#endif

qhn_result qhn_pack(const uint8_t *bits, uint16_t n, uint32_t *words)
{
    uint32_t word = 0u;

    for (uint16_t j = 0u; j < n; j++) {
        if (bits[j] > 1u) {
            return QHN_BAD_INPUT;
        }
        word |= (uint32_t)bits[j] << (j % 32u);
        if (((j % 32u) == 31u) || (j == (n - 1u))) {
            *words++ = word;
            word = 0u;
        }
    }
    return QHN_OK;
}

#ifdef QHN_POPCOUNT32
#define ADD_ONES(count, word) ((count) += QHN_POPCOUNT32(word))
#else
/* Clears the lowest set bit of the word until none is left. */
#define ADD_ONES(count, word) \
    while ((word) != 0u) { \
        (word) &= (word) - 1u; \
        (count)++; \
    }
#endif

/* The padding bits are 0 in both rows, so they never differ and need no mask. */
uint32_t qhn_differing(const QHN_FLASH uint32_t *row, const uint32_t *x, uint16_t n_words)
{
    const uint32_t *const end = x + n_words;
    uint32_t differing = 0u;

    do {
        uint32_t word = *row ^ *x;

        row++;
        x++;
        ADD_ONES(differing, word);
    } while (x != end);
    return differing;
}

int32_t qhn_sum_pm1(const uint32_t *x, uint16_t n)
{
    const uint32_t *const end = &x[QHN_WORDS(n)];
    uint32_t ones = 0u;

    do {
        uint32_t word = *x;

        x++;
        ADD_ONES(ones, word);
    } while (x != end);
    return 2 * (int32_t)ones - (int32_t)n;
}

/* The functions below differ in the type of x only. */

uint32_t qhn_sum_hi_u8(const QHN_FLASH uint32_t *row, const uint8_t *x, uint16_t n)
{
    const uint8_t *const end = x + n;
    uint32_t sum = 0u;

    while (x != end) {
        const uint8_t *const stop = ((end - x) < 32) ? end : x + 32;
        uint32_t word = *row;

        row++;
        while (x != stop) {
            if ((word & 1u) != 0u) {
                sum += *x;
            }
            word >>= 1;
            x++;
        }
    }
    return sum;
}

uint32_t qhn_sum_hi_i8(const QHN_FLASH uint32_t *row, const int8_t *x, uint16_t n)
{
    const int8_t *const end = x + n;
    uint32_t sum = 0u;

    while (x != end) {
        const int8_t *const stop = ((end - x) < 32) ? end : x + 32;
        uint32_t word = *row;

        row++;
        while (x != stop) {
            if ((word & 1u) != 0u) {
                const int32_t value = *x;

                sum += (uint32_t)value;
            }
            word >>= 1;
            x++;
        }
    }
    return sum;
}

uint32_t qhn_sum_hi_i32(const QHN_FLASH uint32_t *row, const int32_t *x, uint16_t n)
{
    const int32_t *const end = x + n;
    uint32_t sum = 0u;

    while (x != end) {
        const int32_t *const stop = ((end - x) < 32) ? end : x + 32;
        uint32_t word = *row;

        row++;
        while (x != stop) {
            if ((word & 1u) != 0u) {
                sum += (uint32_t)*x;
            }
            word >>= 1;
            x++;
        }
    }
    return sum;
}

int32_t qhn_sum_u8(const uint8_t *x, uint16_t n)
{
    int32_t sum = 0;

    for (uint16_t j = 0u; j < n; j++) {
        sum += (int32_t)x[j];
    }
    return sum;
}

int32_t qhn_sum_i8(const int8_t *x, uint16_t n)
{
    int32_t sum = 0;

    for (uint16_t j = 0u; j < n; j++) {
        sum += (int32_t)x[j];
    }
    return sum;
}

uint32_t qhn_sum_i32(const int32_t *x, uint16_t n)
{
    uint32_t sum = 0u;

    for (uint16_t j = 0u; j < n; j++) {
        sum += (uint32_t)x[j];
    }
    return sum;
}

void qhn_column_sums(const QHN_FLASH uint8_t *t, const uint8_t *x, uint16_t n, uint8_t offset, uint16_t *sums)
{
    uint16_t s0 = 0u;
    uint16_t s1 = 0u;
    uint16_t s2 = 0u;
    uint16_t s3 = 0u;
    uint16_t s4 = 0u;
    uint16_t s5 = 0u;
    uint16_t s6 = 0u;
    uint16_t s7 = 0u;

    for (uint16_t n_left = n; n_left != 0u; n_left--) {
        const uint8_t weights = *t;
        uint16_t value = (uint8_t)(*x ^ offset);

        t++;
        x++;
        QHN_READY(value);
        if ((weights & 0x01u) != 0u) {
            s0 = (uint16_t)(s0 + value);
        }
        if ((weights & 0x02u) != 0u) {
            s1 = (uint16_t)(s1 + value);
        }
        if ((weights & 0x04u) != 0u) {
            s2 = (uint16_t)(s2 + value);
        }
        if ((weights & 0x08u) != 0u) {
            s3 = (uint16_t)(s3 + value);
        }
        if ((weights & 0x10u) != 0u) {
            s4 = (uint16_t)(s4 + value);
        }
        if ((weights & 0x20u) != 0u) {
            s5 = (uint16_t)(s5 + value);
        }
        if ((weights & 0x40u) != 0u) {
            s6 = (uint16_t)(s6 + value);
        }
        if ((weights & 0x80u) != 0u) {
            s7 = (uint16_t)(s7 + value);
        }
    }
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
    sums[4] = s4;
    sums[5] = s5;
    sums[6] = s6;
    sums[7] = s7;
}

/* Counts down, which takes an instruction less than a comparison with n. */
uint16_t qhn_argmax(const int32_t *logits, uint16_t n)
{
    int32_t largest = logits[0];
    unsigned int n_left = n;
    unsigned int best = n;

    do {
        const int32_t logit = *logits;

        logits++;
        if (logit > largest) {
            largest = logit;
            best = n_left;
        }
        n_left--;
    } while (n_left != 0u);
    return (uint16_t)(n - best);
}

uint16_t qhn_threshold(int32_t logit)
{
    return (logit >= 0) ? 1u : 0u;
}
