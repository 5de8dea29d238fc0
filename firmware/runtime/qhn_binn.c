/* qhn_binn: kernels of an integer binary neural network; contracts and the packed order are in the header. */
#include "qhn_binn.h"

/* Number of 1 bits of a uint32_t. Define QHN_POPCOUNT32(word) to use an instruction of the core; the builtin is
 * taken only where it is known to be one, because elsewhere it calls a library function that is slower than
 * the portable form below. */
#ifndef QHN_POPCOUNT32
#if defined(__GNUC__) && (defined(__POPCNT__) || defined(__aarch64__) || defined(__riscv_zbb))
#define QHN_POPCOUNT32(word) ((uint32_t)__builtin_popcount(word))
#else
#define QHN_POPCOUNT32(word) popcount32(word)

/* Adds neighbouring fields of 1, 2 and 4 bits; the product then adds the four bytes into the highest. */
static uint32_t popcount32(uint32_t v)
{
    v = v - ((v >> 1) & UINT32_C(0x55555555));
    v = (v & UINT32_C(0x33333333)) + ((v >> 2) & UINT32_C(0x33333333));
    v = (v + (v >> 4)) & UINT32_C(0x0f0f0f0f);
    return (v * UINT32_C(0x01010101)) >> 24;
}
#endif
#endif

/* Returns the int32 that is congruent to u modulo 2^32, without an implementation-defined conversion. */
static int32_t to_int32(uint32_t u)
{
    if (u <= (uint32_t)INT32_MAX) {
        return (int32_t)u;
    }
    return (int32_t)(u - UINT32_C(0x80000000)) + INT32_MIN;
}

/* Returns sum_j v_j x_j for two packed rows of n values -1/+1: n minus twice the number of differing bits.
 * The padding bits are 0 in both rows, so they never differ and need no mask. */
static int32_t dot_pm1(const QHN_FLASH uint32_t *v, const uint32_t *x, uint16_t n)
{
    const uint16_t n_words = (uint16_t)QHN_WORDS(n);
    uint32_t differing = 0u;

    for (uint16_t k = 0u; k < n_words; k++) {
        differing += QHN_POPCOUNT32(v[k] ^ x[k]);
    }
    return (int32_t)n - 2 * (int32_t)differing;
}

/* Returns sum_j x_j of a packed row of n values -1/+1. */
static int32_t sum_pm1(const uint32_t *x, uint16_t n)
{
    const uint16_t n_words = (uint16_t)QHN_WORDS(n);
    uint32_t ones = 0u;

    for (uint16_t k = 0u; k < n_words; k++) {
        ones += QHN_POPCOUNT32(x[k]);
    }
    return 2 * (int32_t)ones - (int32_t)n;
}

/* Returns a_i = lo S + (hi - lo) S1 + bias_i from S = sum_j x_j and S1 = the sum of x_j where the weight is hi.
 *
 * S, S1 and the two products can each leave int32 although a_i cannot (levels 0 and 1 put no bound on S, for
 * example). All of them are therefore computed modulo 2^32, where unsigned arithmetic is defined to wrap
 * and sums and products keep their congruence; a_i is within int32, so its residue determines it. */
static int32_t accumulator(const QHN_FLASH qhn_dense *layer, uint16_t i, uint32_t sum_all, uint32_t sum_hi)
{
    const uint32_t lo = (uint32_t)(int32_t)layer->lo;
    const uint32_t step = (uint32_t)(layer->hi - layer->lo);

    return to_int32(lo * sum_all + step * sum_hi + (uint32_t)layer->bias[i]);
}

qhn_result qhn_pack(const uint8_t *bits, uint16_t n, uint32_t *words)
{
    uint32_t word = 0u;

    for (uint16_t j = 0u; j < n; j++) {
        if (bits[j] > 1u) {
            return QHN_BAD_INPUT;
        }
        word |= (uint32_t)bits[j] << (j % 32u);
        if (j % 32u == 31u || j == n - 1u) {
            *words++ = word;
            word = 0u;
        }
    }
    return QHN_OK;
}

void qhn_dense_xnor(const QHN_FLASH qhn_dense *layer, const uint32_t *x, int32_t *a)
{
    const QHN_FLASH uint32_t *row = layer->weights;

    for (uint16_t i = 0u; i < layer->n_out; i++) {
        a[i] = dot_pm1(row, x, layer->n_in) + layer->bias[i];
        row += QHN_WORDS(layer->n_in);
    }
}

/* With v_j = -1/+1 for the weight bits, sum_{w_j = hi} x_j = sum_j (v_j + 1) x_j / 2 = (v.x + S) / 2, which is
 * exact because v.x and S have the parity of n. Both products stay below 255 * 65535 and their sum, the
 * layer's dot product, below 128 * 65535; the bias comes last, so that no partial sum leaves int32. */
void qhn_dense_bits(const QHN_FLASH qhn_dense *layer, const uint32_t *x, int32_t *a)
{
    const int32_t lo = layer->lo;
    const int32_t step = (int32_t)layer->hi - (int32_t)layer->lo;
    const int32_t sum_all = sum_pm1(x, layer->n_in);
    const QHN_FLASH uint32_t *row = layer->weights;

    for (uint16_t i = 0u; i < layer->n_out; i++) {
        const int32_t sum_hi = (dot_pm1(row, x, layer->n_in) + sum_all) / 2;

        a[i] = (lo * sum_all + step * sum_hi) + layer->bias[i];
        row += QHN_WORDS(layer->n_in);
    }
}

/* The three kernels below differ in the type of x only. A weight bit becomes a mask of all ones or zeros; the
 * row pointer moves on at each new word and so reaches the next row by itself. */

void qhn_dense_u8(const QHN_FLASH qhn_dense *layer, const uint8_t *x, int32_t *a)
{
    const QHN_FLASH uint32_t *row = layer->weights;
    uint32_t sum_all = 0u;

    for (uint16_t j = 0u; j < layer->n_in; j++) {
        sum_all += x[j];
    }
    for (uint16_t i = 0u; i < layer->n_out; i++) {
        uint32_t word = 0u;
        uint32_t sum_hi = 0u;

        for (uint16_t j = 0u; j < layer->n_in; j++) {
            word = (j % 32u == 0u) ? *row++ : word >> 1;
            sum_hi += (uint32_t)x[j] & (0u - (word & 1u));
        }
        a[i] = accumulator(layer, i, sum_all, sum_hi);
    }
}

void qhn_dense_i8(const QHN_FLASH qhn_dense *layer, const int8_t *x, int32_t *a)
{
    const QHN_FLASH uint32_t *row = layer->weights;
    uint32_t sum_all = 0u;

    for (uint16_t j = 0u; j < layer->n_in; j++) {
        const int32_t value = x[j];

        sum_all += (uint32_t)value;
    }
    for (uint16_t i = 0u; i < layer->n_out; i++) {
        uint32_t word = 0u;
        uint32_t sum_hi = 0u;

        for (uint16_t j = 0u; j < layer->n_in; j++) {
            const int32_t value = x[j];

            word = (j % 32u == 0u) ? *row++ : word >> 1;
            sum_hi += (uint32_t)value & (0u - (word & 1u));
        }
        a[i] = accumulator(layer, i, sum_all, sum_hi);
    }
}

void qhn_dense_i32(const QHN_FLASH qhn_dense *layer, const int32_t *x, int32_t *a)
{
    const QHN_FLASH uint32_t *row = layer->weights;
    uint32_t sum_all = 0u;

    for (uint16_t j = 0u; j < layer->n_in; j++) {
        sum_all += (uint32_t)x[j];
    }
    for (uint16_t i = 0u; i < layer->n_out; i++) {
        uint32_t word = 0u;
        uint32_t sum_hi = 0u;

        for (uint16_t j = 0u; j < layer->n_in; j++) {
            word = (j % 32u == 0u) ? *row++ : word >> 1;
            sum_hi += (uint32_t)x[j] & (0u - (word & 1u));
        }
        a[i] = accumulator(layer, i, sum_all, sum_hi);
    }
}

void qhn_sign(const int32_t *a, uint16_t n, uint32_t *words)
{
    uint32_t word = 0u;

    for (uint16_t i = 0u; i < n; i++) {
        word |= (a[i] >= 0 ? UINT32_C(1) : UINT32_C(0)) << (i % 32u);
        if (i % 32u == 31u || i == n - 1u) {
            *words++ = word;
            word = 0u;
        }
    }
}

void qhn_relu(const int32_t *a, uint16_t n, uint8_t shift, int32_t limit, int32_t *y)
{
    for (uint16_t i = 0u; i < n; i++) {
        /* Only a non-negative value is shifted: shifting a negative one right is implementation-defined. */
        const int32_t shifted = (a[i] > 0 ? a[i] : 0) >> shift;

        y[i] = (shifted < limit) ? shifted : limit;
    }
}

void qhn_table(const int32_t *a, uint16_t n, int32_t low, const QHN_FLASH int32_t *values,
               uint32_t n_values, int32_t *y)
{
    for (uint16_t i = 0u; i < n; i++) {
        uint32_t index = 0u;

        if (a[i] > low) {
            /* a - low can leave int32; as it is positive here, the unsigned difference is exact. */
            index = (uint32_t)a[i] - (uint32_t)low;
            if (index >= n_values) {
                index = n_values - 1u;
            }
        }
        y[i] = values[index];
    }
}

uint16_t qhn_argmax(const int32_t *logits, uint16_t n)
{
    uint16_t best = 0u;

    for (uint16_t i = 1u; i < n; i++) {
        if (logits[i] > logits[best]) {
            best = i;
        }
    }
    return best;
}

uint16_t qhn_threshold(int32_t logit)
{
    return (logit >= 0) ? 1u : 0u;
}
