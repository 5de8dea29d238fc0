/* qhn_binn: the parts of an integer binary neural network. C99, no heap, no recursion, no floating point.
 *
 * A dense layer computes, for unit i,
 *
 *     a_i = sum_j w_ij x_j + bias_i,    w_ij = lo where the weight bit is 0, hi where it is 1.
 *
 * Packed order, for weights and for -1/+1 values alike: element j is bit j % 32 (counted from the least
 * significant bit) of word j / 32. Every row starts at a new word and the unused high bits of its last word
 * are 0. A value bit 0 stands for -1, 1 for +1.
 *
 * Contract of every function: pointers are not null and point to as many elements as stated; input and output
 * do not overlap unless stated. Generated code keeps to the contract; call it, not these functions, with data
 * that has not been checked.
 */
#ifndef QHN_BINN_H
#define QHN_BINN_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where constant tables live. On AVR they stay in program memory and are read from there: avr-gcc offers this with
 * -std=gnu99 (with -std=c99 the tables are copied to RAM, which is right but large), clang always. Elsewhere it is
 * nothing. A pointer to such a table has the same qualifier. */
#if defined(__FLASH)
#define QHN_FLASH __flash
#elif defined(__AVR__) && defined(__clang__)
#define QHN_FLASH __attribute__((address_space(1)))
#else
#define QHN_FLASH
#endif

/* A function that stays one, so that a debugger or a counter can tell the layers apart; and one that is always
 * merged into its caller, so that its constant arguments make it shorter. */
#if defined(__clang__)
#define QHN_NOINLINE __attribute__((noinline))
#elif defined(__GNUC__)
#define QHN_NOINLINE __attribute__((noinline, noclone))
#else
#define QHN_NOINLINE
#endif
#if defined(__GNUC__)
#define QHN_INLINE static inline __attribute__((always_inline, unused))
#else
#define QHN_INLINE static inline
#endif

/* Tells the compiler to have a value ready here: it otherwise mixes independent additions until their operands no
 * longer fit into the registers. Costs no instruction. (On AVR, clang takes no value of four bytes here.) */
#if defined(__GNUC__) && !(defined(__AVR__) && defined(__clang__))
#define QHN_READY(value) __asm__ volatile("" : "+r"(value))
#else
#define QHN_READY(value) ((void)0)
#endif

/* Number of 32-bit words of a packed row of n elements, n >= 1. */
#define QHN_WORDS(n) ((((n) - 1u) / 32u) + 1u)

/* What every checked function returns. */
typedef enum {
    QHN_OK = 0,           /* the result is written */
    QHN_NULL_POINTER = 1, /* an argument is NULL; nothing is written */
    QHN_BAD_INPUT = 2     /* a value is outside its range; the output is not to be used */
} qhn_result;

/* Packs n bytes of {0, 1} into words[QHN_WORDS(n)]; n is 1 to 65535.
 * Returns QHN_BAD_INPUT when a byte is neither 0 nor 1. */
qhn_result qhn_pack(const uint8_t *bits, uint16_t n, uint32_t *words);

/* ---- One row of weights against the inputs ---- */

/* Number of differing bits of two packed rows of n_words words, 0 to 65535; n_words is 1 to 2048. */
uint32_t qhn_differing(const QHN_FLASH uint32_t *row, const uint32_t *x, uint16_t n_words);

/* sum_j x_j of a packed row of n values -1/+1; n is 1 to 65535. */
int32_t qhn_sum_pm1(const uint32_t *x, uint16_t n);

/* Sum modulo 2^32 of the x_j of n inputs whose weight bit is 1. Single sums may leave int32 although the accumulator
 * made of them does not, and unsigned arithmetic is defined to wrap. */
uint32_t qhn_sum_hi_u8(const QHN_FLASH uint32_t *row, const uint8_t *x, uint16_t n);
uint32_t qhn_sum_hi_i8(const QHN_FLASH uint32_t *row, const int8_t *x, uint16_t n);
uint32_t qhn_sum_hi_i32(const QHN_FLASH uint32_t *row, const int32_t *x, uint16_t n);

/* Sum of all x_j of n inputs; that of int32_t inputs modulo 2^32. */
int32_t qhn_sum_u8(const uint8_t *x, uint16_t n);
int32_t qhn_sum_i8(const int8_t *x, uint16_t n);
uint32_t qhn_sum_i32(const int32_t *x, uint16_t n);

/* Sets sums[8] to the sums of the inputs x'_j whose weight is hi, for eight units: bit u of byte t[j] is unit u's weight of input j;
 * x' is x or, to make int8_t inputs unsigned, x + 128 (offset 0x80). The sums fit in 16 bits: n is 1 to 257. */
void qhn_column_sums(const QHN_FLASH uint8_t *t, const uint8_t *x, uint16_t n, uint8_t offset, uint16_t *sums);

/* The int32 that is congruent to u modulo 2^32, without an implementation-defined conversion. */
QHN_INLINE int32_t qhn_to_int32(uint32_t u)
{
    if (u <= (uint32_t)INT32_MAX) {
        return (int32_t)u;
    }
    return (int32_t)(u - 0x80000000u) + INT32_MIN;
}

/* An int8_t as it is modulo 2^32. */
#if defined(__GNUC__) && defined(__thumb__) && !defined(__thumb2__)
/* These cores load a signed byte only from the sum of two registers, one of which the compiler would spend on it. */
QHN_INLINE uint32_t qhn_load_i8(const int8_t *x)
{
    uint32_t value = *(const uint8_t *)x;

    __asm__("sxtb %0, %0" : "+l"(value));
    return value;
}
#else
QHN_INLINE uint32_t qhn_load_i8(const int8_t *x)
{
    return (uint32_t)(int32_t)*x;
}
#endif

/* ---- Activations ---- */

/* min(max(a, 0) >> shift, limit); shift is 0 to 31, limit is 1 to INT32_MAX. */
QHN_INLINE int32_t qhn_relu(int32_t a, uint8_t shift, int32_t limit)
{
    const uint32_t positive = (a > 0) ? (uint32_t)a : 0u;
    const uint32_t quotient = positive >> shift;
    const int32_t shifted = (int32_t)quotient;

    return (shifted < limit) ? shifted : limit;
}

/* The index clip(a - low, 0, n_values - 1) of a table; n_values is 1 to 65536. a - low can leave int32; as it is
 * positive where it is formed, the unsigned difference is exact. */
QHN_INLINE uint32_t qhn_table_index(int32_t a, int32_t low, uint32_t n_values)
{
    const uint32_t index = (a > low) ? ((uint32_t)a - (uint32_t)low) : 0u;

    return (index < n_values) ? index : n_values - 1u;
}

/* ---- Heads ---- */

/* Returns the index of the largest of logits[n]; the lowest index wins a tie. n is 1 to 65535. */
uint16_t qhn_argmax(const int32_t *logits, uint16_t n);

/* Returns 1 where logit >= 0, else 0. */
uint16_t qhn_threshold(int32_t logit);

#ifdef __cplusplus
}
#endif

#endif
