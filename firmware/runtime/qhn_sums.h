/* qhn_sums: sums of table entries and of integer inputs, merged into the layer that uses them. Contracts as in
 * qhn_binn.h; arguments that are constants in generated code decide at compile time which lines remain.
 */
#ifndef QHN_SUMS_H
#define QHN_SUMS_H

#include "qhn_binn.h"

#if defined(__ARM_FEATURE_SIMD32)
#include <arm_acle.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Packed inputs, four at a time: tables of sums, several units in a word ---- */

/* Adds the entries of one group of four inputs, whose bits are the value, to sums[n_words]. A group's table is
 * [n_words][16]. */
QHN_INLINE const QHN_FLASH uint32_t *qhn_add_entry(const QHN_FLASH uint32_t *t, uint8_t value, uint8_t n_words,
                                                   uint32_t *sums)
{
    const QHN_FLASH uint32_t *row = &t[value];

    sums[0] += row[0];
    QHN_READY(sums[0]);
    if (n_words > 1u) {
        sums[1] += row[16];
        QHN_READY(sums[1]);
    }
    if (n_words > 2u) {
        sums[2] += row[32];
        QHN_READY(sums[2]);
    }
    if (n_words > 3u) {
        sums[3] += row[48];
        QHN_READY(sums[3]);
    }
    t = &t[16u * n_words];
    QHN_READY(t);
    return t;
}

/* Bits 4 k to 4 k + 3 of a word; 8-bit cores shift no words. */
QHN_INLINE uint8_t qhn_four_bits(uint32_t word, uint8_t k)
{
#if defined(__AVR__)
    const uint8_t byte = (uint8_t)(word >> (8u * (k / 2u)));

    return ((k % 2u) != 0u) ? (uint8_t)(byte >> 4) : (uint8_t)(byte & 15u);
#else
    return (uint8_t)((word >> (4u * k)) & 15u);
#endif
}

/* The same for n_groups groups, 1 to 8, of the inputs in a word. */
QHN_INLINE const QHN_FLASH uint32_t *qhn_add_word(const QHN_FLASH uint32_t *t, uint32_t word, uint16_t n_groups,
                                                  uint8_t n_words, uint32_t *sums)
{
    t = qhn_add_entry(t, qhn_four_bits(word, 0u), n_words, sums);
    if (n_groups > 1u) {
        t = qhn_add_entry(t, qhn_four_bits(word, 1u), n_words, sums);
    }
    if (n_groups > 2u) {
        t = qhn_add_entry(t, qhn_four_bits(word, 2u), n_words, sums);
    }
    if (n_groups > 3u) {
        t = qhn_add_entry(t, qhn_four_bits(word, 3u), n_words, sums);
    }
    if (n_groups > 4u) {
        t = qhn_add_entry(t, qhn_four_bits(word, 4u), n_words, sums);
    }
    if (n_groups > 5u) {
        t = qhn_add_entry(t, qhn_four_bits(word, 5u), n_words, sums);
    }
    if (n_groups > 6u) {
        t = qhn_add_entry(t, qhn_four_bits(word, 6u), n_words, sums);
    }
    if (n_groups > 7u) {
        t = qhn_add_entry(t, qhn_four_bits(word, 7u), n_words, sums);
    }
    return t;
}

/* Adds to sums[n_words], 1 to 4 words, one entry for each of n_groups groups of four inputs x. No field of a word may
 * overflow. Returns what follows the groups' tables. */
QHN_INLINE const QHN_FLASH uint32_t *qhn_add_entries(const QHN_FLASH uint32_t *t, const uint32_t *x,
                                                     uint16_t n_groups, uint8_t n_words, uint32_t *sums)
{
    QHN_READY(x); /* so that inputs are loaded anew rather than kept on the stack */
    for (uint16_t k = 0u; k < n_groups / 8u; k++) {
        t = qhn_add_word(t, x[k], 8u, n_words, sums);
    }
    if ((n_groups % 8u) != 0u) {
        t = qhn_add_word(t, x[n_groups / 8u], n_groups % 8u, n_words, sums);
    }
    return t;
}

/* ---- Byte inputs: four of them in a word, weights as masks ---- */

/* A weight's mask is 0x00 or 0xff: x ^ mask is x or 255 - x, so that a sum of these is sum_j +-x_j and a constant. */

/* Whether the bytes from x on can be loaded as words: on cores that load no word from any other address, only from a
 * multiple of four. */
#if defined(__ARM_ARCH_6M__) || defined(__riscv)
#define QHN_LOADS_ANYWHERE 0
QHN_INLINE uint8_t qhn_is_aligned(const uint8_t *x)
{
    return (((uintptr_t)x & 3u) == 0u) ? 1u : 0u;
}
#else
#define QHN_LOADS_ANYWHERE 1
QHN_INLINE uint8_t qhn_is_aligned(const uint8_t *x)
{
    (void)x;
    return 1u;
}
#endif

/* The word whose byte k, counted from the least significant, is x[k]. */
QHN_INLINE uint32_t qhn_load4(const uint8_t *x, uint8_t aligned)
{
    uint32_t word;

#if defined(__GNUC__) && defined(__BYTE_ORDER__) && (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
    if (aligned != 0u) {
#if QHN_LOADS_ANYWHERE
        __builtin_memcpy(&word, x, 4u);
#else
        __builtin_memcpy(&word, __builtin_assume_aligned(x, 4u), 4u);
#endif
        return word;
    }
#else
    (void)aligned;
#endif
    word = (uint32_t)x[0] | ((uint32_t)x[1] << 8) | ((uint32_t)x[2] << 16) | ((uint32_t)x[3] << 24);
    return word;
}

/* The same for the last 1 to 3 bytes; the others are 0. */
QHN_INLINE uint32_t qhn_load_rest(const uint8_t *x, uint16_t n)
{
    uint32_t word = x[0];

    if (n > 1u) {
        word |= (uint32_t)x[1] << 8;
    }
    if (n > 2u) {
        word |= (uint32_t)x[2] << 16;
    }
    return word;
}

/* The bytes of several words, added: `all` is the sum of the words modulo 2^32, `odd` holds the sum of their bytes 1 in
 * its low and of their bytes 3 in its high half. Good for up to 257 words. */
typedef struct {
    uint32_t all;
    uint32_t odd;
} qhn_byte_sums;

QHN_INLINE void qhn_add_bytes(qhn_byte_sums *sums, uint32_t word)
{
#if defined(__ARM_FEATURE_SIMD32)
    sums->all = __usada8(word, 0u, sums->all);
#else
    sums->all += word;
    sums->odd += (word >> 8) & 0x00ff00ffu;
#endif
}

/* Adds |x - mask| byte by byte, which is x ^ mask for these masks. */
QHN_INLINE void qhn_add_masked(qhn_byte_sums *sums, uint32_t x, uint32_t mask)
{
#if defined(__ARM_FEATURE_SIMD32)
    sums->all = __usada8(x, mask, sums->all);
#else
    qhn_add_bytes(sums, x ^ mask);
#endif
}

/* The sum of all bytes. all - 256 odd, modulo 2^32, holds the sums of bytes 0 and 2 in its halves. */
QHN_INLINE int32_t qhn_sum_of_bytes(const qhn_byte_sums *sums)
{
#if defined(__ARM_FEATURE_SIMD32)
    return (int32_t)sums->all;
#else
    const uint32_t even = sums->all - (sums->odd << 8);

    const uint32_t sum = (even & 0xffffu) + (even >> 16) + (sums->odd & 0xffffu) + (sums->odd >> 16);

    return (int32_t)sum;
#endif
}

/* Adds the same four inputs for n_units units, 1 to 4, whose masks follow each other. */
QHN_INLINE void qhn_add_masked_units(qhn_byte_sums *sums, uint32_t x, const QHN_FLASH uint32_t *masks, uint8_t n_units)
{
    qhn_add_masked(&sums[0], x, masks[0]);
    if (n_units > 1u) {
        qhn_add_masked(&sums[1], x, masks[1]);
    }
    if (n_units > 2u) {
        qhn_add_masked(&sums[2], x, masks[2]);
    }
    if (n_units > 3u) {
        qhn_add_masked(&sums[3], x, masks[3]);
    }
}

/* Sets d[k] to sum_j x'_j ^ mask_kj for n_units units k, 1 to 4; x' is x or, to make int8_t inputs unsigned, x + 128
 * (offset 0x80808080). n is 1 to 1028 inputs. Returns what follows these units' masks. */
QHN_INLINE const QHN_FLASH uint32_t *qhn_masked_sums(const QHN_FLASH uint32_t *masks, const uint8_t *x, uint16_t n,
                                                     uint8_t n_units, uint32_t offset, uint8_t aligned, int32_t *d)
{
    qhn_byte_sums sums[4] = {{0u, 0u}, {0u, 0u}, {0u, 0u}, {0u, 0u}};

    QHN_READY(x); /* so that inputs are loaded anew rather than kept on the stack */
    for (uint16_t k = 0u; k < n / 4u; k++) {
        qhn_add_masked_units(sums, qhn_load4(&x[4u * k], aligned) ^ offset, masks, n_units);
        masks += n_units;
    }
    if ((n % 4u) != 0u) {
        qhn_add_masked_units(sums, qhn_load_rest(&x[n - (n % 4u)], n % 4u) ^ offset, masks, n_units);
        masks += n_units;
    }
    d[0] = qhn_sum_of_bytes(&sums[0]);
    if (n_units > 1u) {
        d[1] = qhn_sum_of_bytes(&sums[1]);
    }
    if (n_units > 2u) {
        d[2] = qhn_sum_of_bytes(&sums[2]);
    }
    if (n_units > 3u) {
        d[3] = qhn_sum_of_bytes(&sums[3]);
    }
    return masks;
}

/* sum_j x'_j ^ mask_j for one unit, whose weights are packed bits, row of QHN_WORDS(n): each four of them select one of
 * the sixteen masks. Inputs as above; n is 1 to 1028. */
QHN_INLINE int32_t qhn_packed_sum(const QHN_FLASH uint32_t *row, const QHN_FLASH uint32_t *masks, const uint8_t *x,
                                  uint16_t n, uint32_t offset, uint8_t aligned)
{
    qhn_byte_sums sums = {0u, 0u};
    uint32_t weights = 0u;

    QHN_READY(x);
    for (uint16_t k = 0u; k < n / 4u; k++) {
        weights = ((k % 8u) == 0u) ? *row++ : weights >> 4;
        qhn_add_masked(&sums, qhn_load4(&x[4u * k], aligned) ^ offset, masks[weights & 15u]);
    }
    if ((n % 4u) != 0u) {
        weights = ((n % 32u) < 4u) ? *row : weights >> 4;
        qhn_add_masked(&sums, qhn_load_rest(&x[n - (n % 4u)], n % 4u) ^ offset, masks[weights & 15u]);
    }
    return qhn_sum_of_bytes(&sums);
}

#ifdef __cplusplus
}
#endif

#endif
