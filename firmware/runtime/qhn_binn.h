/* qhn_binn: kernels of an integer binary neural network. C99, no heap, no recursion, no floating point.
 *
 * A dense layer computes, for unit i,
 *
 *     a_i = sum_j w_ij x_j + bias_i,    w_ij = lo where the weight bit is 0, hi where it is 1.
 *
 * Packed order, for weights and for -1/+1 values alike: element j is bit j % 32 (counted from the least
 * significant bit) of word j / 32. Every row starts at a new word and the unused high bits of its last word
 * are 0. A value bit 0 stands for -1, 1 for +1.
 *
 * Contract of every kernel: pointers are not null and point to as many elements as stated; input and output
 * do not overlap unless stated; every a_i, and |bias_i| + sum_j |w_ij| max|x_j|, is within int32 (the exporter
 * refuses a model for which that is not so). Generated code keeps to the contract; call it, not the kernels,
 * with data that has not been checked.
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

/* Number of 32-bit words of a packed row of n elements, n >= 1. */
#define QHN_WORDS(n) (((n) - 1u) / 32u + 1u)

/* What every checked function returns. */
typedef enum {
    QHN_OK = 0,           /* the result is written */
    QHN_NULL_POINTER = 1, /* an argument is NULL; nothing is written */
    QHN_BAD_INPUT = 2     /* a value is outside its range; the output is not to be used */
} qhn_result;

/* One dense layer; a constant table. */
typedef struct {
    const QHN_FLASH uint32_t *weights; /* [n_out][QHN_WORDS(n_in)], packed, row after row */
    const QHN_FLASH int32_t *bias;     /* [n_out] */
    uint16_t n_in;           /* 1 to 65535 */
    uint16_t n_out;          /* 1 to 65535 */
    int16_t lo;              /* level of a weight bit 0, -128 to 126 */
    int16_t hi;              /* level of a weight bit 1, lo + 1 to 127 */
} qhn_dense;

/* Packs n bytes of {0, 1} into words[QHN_WORDS(n)]; n is 1 to 65535.
 * Returns QHN_BAD_INPUT when a byte is neither 0 nor 1. */
qhn_result qhn_pack(const uint8_t *bits, uint16_t n, uint32_t *words);

/* ---- Dense layers: inputs x in, accumulators a[n_out] out ---- */

/* lo = -1, hi = +1, and x packed -1/+1 values, x[QHN_WORDS(n_in)]: XNOR and popcount. */
void qhn_dense_xnor(const QHN_FLASH qhn_dense *layer, const uint32_t *x, int32_t *a);

/* Any levels, and x packed -1/+1 values, x[QHN_WORDS(n_in)]: one popcount a word. */
void qhn_dense_bits(const QHN_FLASH qhn_dense *layer, const uint32_t *x, int32_t *a);

/* Any levels, and x[n_in] integers: additions where the weight bit is 1. */
void qhn_dense_u8(const QHN_FLASH qhn_dense *layer, const uint8_t *x, int32_t *a);
void qhn_dense_i8(const QHN_FLASH qhn_dense *layer, const int8_t *x, int32_t *a);
void qhn_dense_i32(const QHN_FLASH qhn_dense *layer, const int32_t *x, int32_t *a);

/* ---- Activations: accumulators a[n] in; n is 1 to 65535 ---- */

/* words[QHN_WORDS(n)]: bit i is 1 (+1) where a_i >= 0, else 0 (-1). */
void qhn_sign(const int32_t *a, uint16_t n, uint32_t *words);

/* y_i = min(max(a_i, 0) >> shift, limit); shift is 0 to 31, limit is 1 to INT32_MAX. y may be a. */
void qhn_relu(const int32_t *a, uint16_t n, uint8_t shift, int32_t limit, int32_t *y);

/* y_i = values[clip(a_i - low, 0, n_values - 1)]; n_values is 1 to 65536. y may be a. */
void qhn_table(const int32_t *a, uint16_t n, int32_t low, const QHN_FLASH int32_t *values,
               uint32_t n_values, int32_t *y);

/* ---- Heads ---- */

/* Returns the index of the largest of logits[n]; the lowest index wins a tie. n is 1 to 65535. */
uint16_t qhn_argmax(const int32_t *logits, uint16_t n);

/* Returns 1 where logit >= 0, else 0. */
uint16_t qhn_threshold(int32_t logit);

#ifdef __cplusplus
}
#endif

#endif
