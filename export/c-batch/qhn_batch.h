/* qhn_batch: an integer binary neural network on many inputs at once, on a host. C99, no heap, no floating point.
 *
 * A layer takes n_planes bit planes of unsigned numbers u_j, which stand for inputs x_j = gain u_j + offset, and has
 * weights of two levels, lo where the weight bit w_ij is 0 and hi where it is 1. Then
 *
 *     a_i = sum_j weight_ij x_j + b_i = by_count P_i + by_sum S + bias_i   (modulo 2^32),
 *     P_i = sum_p 2^p popcount(w_i & u^p),   S = sum_p 2^p popcount(u^p),
 *     by_count = gain (hi - lo),   by_sum = gain lo,   bias_i = b_i + offset sum_j weight_ij,
 *
 * where u^p is plane p. A lane of a vector is one unit, so that one instruction counts for as many units as there are
 * 32-bit lanes, and each load of weights serves QHN_BATCH_ROWS inputs.
 *
 * A convolution runs a dense layer on QHN_BATCH_ROWS windows of an image at a time. What is outside the image is u = 0,
 * and windows at its edge have biases of their own, which make up for it.
 *
 * Packed order: element j is bit j % 32 of word j / 32, counted from the least significant bit; unused bits are 0.
 */
#ifndef QHN_BATCH_H
#define QHN_BATCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bits of a vector: 512, 256, 128, 64, or 32 for plain C99 without a compiler's extensions. The widest that the
 * compiler was told of (-march=native) unless defined. */
#ifndef QHN_BATCH_BITS
#if defined(__AVX512F__)
#define QHN_BATCH_BITS 512
#elif defined(__AVX2__)
#define QHN_BATCH_BITS 256
#elif defined(__SSE2__) || defined(__ARM_NEON)
#define QHN_BATCH_BITS 128
#elif defined(__GNUC__)
#define QHN_BATCH_BITS 64
#else
#define QHN_BATCH_BITS 32
#endif
#endif

/* Units of a block, whose words lie side by side; a multiple of every vector's lanes. */
#define QHN_BATCH_UNITS 16u

/* Inputs that go through the layers together. */
#define QHN_BATCH_ROWS 4u

/* A table. Where its rows begin with the processor's cache lines, a load touches one line only. */
#if defined(__GNUC__)
#define QHN_BATCH_CONST(type) static const type __attribute__((aligned(64)))
#else
#define QHN_BATCH_CONST(type) static const type
#endif

/* Number of 32-bit words of a packed row of n elements, n >= 1. */
#define QHN_BATCH_WORDS(n) ((((n) - 1u) / 32u) + 1u)

/* What a layer's accumulators become. */
typedef enum {
    QHN_BATCH_IDENTITY, /* the logits */
    QHN_BATCH_AFFINE,   /* the logits, table[2 i] a_i + table[2 i + 1] of unit i, modulo 2^32 */
    QHN_BATCH_SIGN,     /* 1 where a >= 0, else 0 */
    QHN_BATCH_RELU,     /* min(max(a, 0) >> shift, limit) */
    QHN_BATCH_TABLE     /* table[clip(a - low, 0, n_table - 1)] */
} qhn_batch_activation;

/* Windows of an image, whose value at row y, column x and channel k is element (y width + x) channels + k. The window
 * of output row i and column j begins at row i row_step - top and column j column_step - left. */
typedef struct {
    uint32_t height; /* of the image */
    uint32_t width;
    uint32_t channels;
    uint32_t rows; /* of a window */
    uint32_t columns;
    uint32_t row_step;
    uint32_t column_step;
    uint32_t top; /* rows and columns added before the image */
    uint32_t left;
    uint32_t n_rows; /* of the outputs */
    uint32_t n_columns;
    const uint16_t *row_kind;    /* [n_rows]; NULL: all windows are of one kind */
    const uint16_t *column_kind; /* [n_columns]; row_kind[i] + column_kind[j] says which biases a window has */
    const uint32_t *minimum;     /* of a pooling: a bit a channel, 1 where the smallest value is taken */
} qhn_batch_windows;

typedef struct {
    const qhn_batch_windows *windows; /* NULL: a dense layer */
    const uint32_t *weights; /* [blocks][n_words][QHN_BATCH_UNITS]: word j of each unit of a block; bits past n_in are 0;
                              * NULL: a pooling */
    const int32_t *bias;     /* [kinds][blocks * QHN_BATCH_UNITS] */
    const uint32_t *table;   /* [n_table], of a table or affine logits */
    uint32_t n_words;        /* words of one input plane, of a convolution of a window's */
    uint32_t n_planes;       /* input planes, 1 to 32 */
    uint32_t n_out;          /* units, 1 to 65535; channels of a pooling */
    uint32_t by_count;       /* modulo 2^32 */
    uint32_t by_sum;         /* modulo 2^32 */
    qhn_batch_activation activation;
    uint32_t n_out_planes; /* output planes, 1 to 32; 0 of the last layer */
    uint32_t shift;        /* of a relu, 0 to 31 */
    uint32_t limit;        /* of a relu, below 2^31 */
    int32_t low;           /* of a table */
    uint32_t n_table;      /* entries of the table; 1 to 65536 of an activation */
} qhn_batch_layer;

/* How a row of input is stored. */
typedef enum {
    QHN_BATCH_BIT,   /* feature j is bit j % 8 of byte j / 8; unused bits of the last byte are ignored */
    QHN_BATCH_UINT8, /* feature j is byte j */
    QHN_BATCH_INT8   /* feature j is byte j, in two's complement */
} qhn_batch_input;

typedef struct {
    const qhn_batch_layer *layers; /* [n_layers] */
    uint32_t n_layers;
    uint32_t n_features;
    qhn_batch_input input;
    uint32_t threshold; /* 1: the label is logit >= 0; 0: the first of the largest logits */
} qhn_batch_model;

/* Runs n rows x through a model. Writes int32 logits[n][n_logits] unless logits is NULL, and labels[n] unless labels
 * is NULL. Each of the two scratch areas holds QHN_BATCH_ROWS inputs of the layer whose input is largest:
 * n_planes * QHN_BATCH_WORDS(n_in) words each; `patches` as many windows with their outputs, of the layer where these
 * are largest: n_planes * n_words + n_out_planes * QHN_BATCH_WORDS(n_out) words each, of poolings n_planes *
 * QHN_BATCH_WORDS(n_out), and may be NULL without such layers; values[QHN_BATCH_ROWS * n_logits]. */
void qhn_batch_run(const qhn_batch_model *model, const uint8_t *x, size_t n, uint32_t *scratch_a, uint32_t *scratch_b,
                   uint32_t *patches, int32_t *values, int32_t *logits, uint16_t *labels);

#ifdef __cplusplus
}
#endif

#endif
