/* qhn_batch: see qhn_batch.h. */
#include "qhn_batch.h"

#include <string.h>

#if QHN_BATCH_BITS == 32
typedef uint32_t vector;
#elif (QHN_BATCH_BITS == 64) || (QHN_BATCH_BITS == 128) || (QHN_BATCH_BITS == 256) || (QHN_BATCH_BITS == 512)
typedef uint32_t vector __attribute__((vector_size(QHN_BATCH_BITS / 8)));
#else
#error "QHN_BATCH_BITS is 32, 64, 128, 256 or 512"
#endif

#define LANES (QHN_BATCH_BITS / 32u)

#if defined(__AVX512VPOPCNTDQ__) && ((QHN_BATCH_BITS == 512) || (defined(__AVX512VL__) && (QHN_BATCH_BITS >= 128)))
#include <immintrin.h>
#define COUNTS_LANES 1
#else
#define COUNTS_LANES 0
#endif
#if (QHN_BATCH_BITS == 128) && defined(__ARM_NEON) && !COUNTS_LANES
#include <arm_neon.h>
#define COUNTS_BYTES 1
#else
#define COUNTS_BYTES 0
#endif
#if !COUNTS_LANES && (defined(__AVX512DQ__) || defined(__AVX2__) || defined(__SSE2__))
#include <immintrin.h>
#endif

#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#else
#define INLINE static inline
#endif

/* ---- Vectors ---- */

/* Vectors are handed over by address: how one is passed by value depends on the compiler's target. */

INLINE void load(vector *v, const void *from)
{
    memcpy(v, from, sizeof *v);
}

INLINE void splat(vector *v, uint32_t value)
{
    const vector zero = {0};

    *v = zero + value;
}

/* One bit a lane, from the lowest: 1 where the lane's top bit is 0, which is a number >= 0. */
INLINE uint32_t not_negative(const vector *v)
{
#if (QHN_BATCH_BITS == 512) && defined(__AVX512DQ__)
    __m512i all;

    memcpy(&all, v, sizeof all);
    return ~(uint32_t)_mm512_movepi32_mask(all) & 0xffffu;
#elif (QHN_BATCH_BITS == 256) && defined(__AVX2__)
    __m256 all;

    memcpy(&all, v, sizeof all);
    return ~(uint32_t)_mm256_movemask_ps(all) & 0xffu;
#elif (QHN_BATCH_BITS == 128) && defined(__SSE2__)
    __m128 all;

    memcpy(&all, v, sizeof all);
    return ~(uint32_t)_mm_movemask_ps(all) & 0xfu;
#else
    uint32_t lanes[LANES];
    uint32_t bits = 0u;

    memcpy(lanes, v, sizeof lanes);
    for (uint32_t k = 0u; k < LANES; k++) {
        bits |= (~lanes[k] >> 31) << k;
    }
    return bits;
#endif
}

/* ---- Counting ---- */

#if COUNTS_LANES

INLINE void count_lanes(vector *v)
{
#if QHN_BATCH_BITS == 512
    __m512i all;

    memcpy(&all, v, sizeof all);
    all = _mm512_popcnt_epi32(all);
#elif QHN_BATCH_BITS == 256
    __m256i all;

    memcpy(&all, v, sizeof all);
    all = _mm256_popcnt_epi32(all);
#else
    __m128i all;

    memcpy(&all, v, sizeof all);
    all = _mm_popcnt_epi32(all);
#endif
    memcpy(v, &all, sizeof all);
}

INLINE void add_count(vector *sum, const vector *weights, uint32_t x)
{
    vector both;

    splat(&both, x);
    both &= *weights;
    count_lanes(&both);
    *sum += both;
}

/* Adds popcount(w & x) of LANES units to the sums of each row; rows of x are `stride` words apart. */
INLINE void count_rows(const uint32_t *w, const uint32_t *x, size_t stride, uint32_t n_words, vector *sums)
{
    const uint32_t *x1 = &x[stride];
    const uint32_t *x2 = &x1[stride];
    const uint32_t *x3 = &x2[stride];
    vector s0 = sums[0];
    vector s1 = sums[1];
    vector s2 = sums[2];
    vector s3 = sums[3];

    for (uint32_t j = 0u; j < n_words; j++) {
        vector weights;

        load(&weights, &w[(size_t)QHN_BATCH_UNITS * j]);
        add_count(&s0, &weights, x[j]);
        add_count(&s1, &weights, x1[j]);
        add_count(&s2, &weights, x2[j]);
        add_count(&s3, &weights, x3[j]);
    }
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

#else

INLINE void both_of(vector *v, const uint32_t *w, const uint32_t *x, uint32_t j)
{
    vector weights;

    load(&weights, &w[(size_t)QHN_BATCH_UNITS * j]);
    splat(v, x[j]);
    *v &= weights;
}

/* Adds the four bytes of each lane of v to its sum; their total is below 65536. */
INLINE void add_bytes(vector *sum, const vector *v, uint32_t weight)
{
    const vector halves = (*v & 0x00ff00ffu) + ((*v >> 8) & 0x00ff00ffu);

    *sum += ((halves & 0xffffu) + (halves >> 16)) * weight;
}

#if COUNTS_BYTES

/* Words whose counts fit into bytes: 31 * 8 < 256. */
#define CHUNK 31u

INLINE void count_chunk(const uint32_t *w, const uint32_t *x, uint32_t n_words, vector *sum)
{
    uint8x16_t bytes = vdupq_n_u8(0u);
    vector counts;

    for (uint32_t j = 0u; j < n_words; j++) {
        vector v;
        uint8x16_t all;

        both_of(&v, w, x, j);
        memcpy(&all, &v, sizeof all);
        bytes = vaddq_u8(bytes, vcntq_u8(all));
    }
    memcpy(&counts, &bytes, sizeof counts);
    add_bytes(sum, &counts, 1u);
}

#else

/* Words whose counts, by eights, fit into bytes: 31 steps of 8 words. */
#define CHUNK 248u

/* Adds bits b and c to *p, lane by lane and bit by bit; *carry gets the carries, whose weight is twice that of *p. */
INLINE void add3(vector *p, const vector *b, const vector *c, vector *carry)
{
    const vector u = *b ^ *c;
    const vector both = *b & *c;

    *carry = both | (*p & u);
    *p ^= u;
}

/* Adds the number of ones in each byte of v to the bytes of *sum. */
INLINE void add_ones(vector *sum, const vector *v)
{
    vector n = *v - ((*v >> 1) & 0x55555555u);

    n = (n & 0x33333333u) + ((n >> 2) & 0x33333333u);
    *sum += (n + (n >> 4)) & 0x0f0f0f0fu;
}

/* Adds words j and j + 1 to *ones; *twos gets the carries. */
INLINE void add_pair(const uint32_t *w, const uint32_t *x, uint32_t j, vector *ones, vector *twos)
{
    vector a;
    vector b;

    both_of(&a, w, x, j);
    both_of(&b, w, x, j + 1u);
    add3(ones, &a, &b, twos);
}

INLINE void add_four(const uint32_t *w, const uint32_t *x, uint32_t j, vector *ones, vector *twos, vector *fours)
{
    vector a;
    vector b;

    add_pair(w, x, j, ones, &a);
    add_pair(w, x, j + 2u, ones, &b);
    add3(twos, &a, &b, fours);
}

/* Eight words at a time through carry-save adders, so that only their carries of weight 8 are counted. */
INLINE void count_chunk(const uint32_t *w, const uint32_t *x, uint32_t n_words, vector *sum)
{
    const vector zero = {0};
    vector ones = zero;
    vector twos = zero;
    vector fours = zero;
    vector n1 = zero;
    vector n2 = zero;
    vector n4 = zero;
    vector n8 = zero;
    uint32_t j = 0u;

    for (; j + 8u <= n_words; j += 8u) {
        vector a;
        vector b;
        vector eights;

        add_four(w, x, j, &ones, &twos, &a);
        add_four(w, x, j + 4u, &ones, &twos, &b);
        add3(&fours, &a, &b, &eights);
        add_ones(&n8, &eights);
    }
    for (; j < n_words; j++) {
        vector v;

        both_of(&v, w, x, j);
        add_ones(&n1, &v);
    }
    add_ones(&n1, &ones);
    add_bytes(sum, &n1, 1u);
    if (n_words >= 8u) {
        add_ones(&n2, &twos);
        add_ones(&n4, &fours);
        add_bytes(sum, &n2, 2u);
        add_bytes(sum, &n4, 4u);
        add_bytes(sum, &n8, 8u);
    }
}

#endif

INLINE void count_rows(const uint32_t *w, const uint32_t *x, size_t stride, uint32_t n_words, vector *sums)
{
    for (uint32_t r = 0u; r < QHN_BATCH_ROWS; r++) {
        for (uint32_t j = 0u; j < n_words; j += CHUNK) {
            const uint32_t n = (n_words - j < CHUNK) ? n_words - j : CHUNK;

            count_chunk(&w[(size_t)QHN_BATCH_UNITS * j], &x[r * stride + j], n, &sums[r]);
        }
    }
}

#endif

INLINE uint32_t count_word(uint32_t word)
{
#if defined(__GNUC__)
    return (uint32_t)__builtin_popcount(word);
#else
    word -= (word >> 1) & 0x55555555u;
    word = (word & 0x33333333u) + ((word >> 2) & 0x33333333u);
    return (((word + (word >> 4)) & 0x0f0f0f0fu) * 0x01010101u) >> 24;
#endif
}

/* S of one row. */
static uint32_t sum_of(const uint32_t *x, uint32_t n_planes, uint32_t n_words)
{
    uint32_t sum = 0u;

    for (uint32_t p = n_planes; p > 0u; p--) {
        sum *= 2u;
        for (uint32_t j = 0u; j < n_words; j++) {
            sum += count_word(x[(size_t)(p - 1u) * n_words + j]);
        }
    }
    return sum;
}

/* ---- Layers ---- */

/* An accumulator as the number that it stands for. */
INLINE int32_t as_signed(uint32_t a)
{
    int32_t value;

    memcpy(&value, &a, sizeof value);
    return value;
}

/* Relu and table. */
static uint32_t activate(const qhn_batch_layer *layer, uint32_t accumulator)
{
    const int32_t a = as_signed(accumulator);

    if (layer->activation == QHN_BATCH_RELU) {
        const uint32_t y = (a < 0) ? 0u : accumulator >> layer->shift;

        return (y < layer->limit) ? y : layer->limit;
    } else {
        const int64_t index = (int64_t)a - layer->low;
        const int64_t last = (int64_t)layer->n_table - 1;

        return layer->table[(index < 0) ? 0 : ((index < last) ? index : last)];
    }
}

/* Stores the outputs of the units of a block as bits of the output planes, which were 0. */
static void store_planes(const qhn_batch_layer *layer, uint32_t block, const uint32_t *sums, uint32_t *y)
{
    const uint32_t n_words = QHN_BATCH_WORDS(layer->n_out);
    const uint32_t first = block * QHN_BATCH_UNITS;

    for (uint32_t k = 0u; (k < QHN_BATCH_UNITS) && (first + k < layer->n_out); k++) {
        const uint32_t value = activate(layer, sums[k]);
        const uint32_t unit = first + k;

        for (uint32_t p = 0u; p < layer->n_out_planes; p++) {
            y[(size_t)p * n_words + unit / 32u] |= ((value >> p) & 1u) << (unit % 32u);
        }
    }
}

static void store_signs(const qhn_batch_layer *layer, uint32_t block, uint32_t signs, uint32_t *y)
{
    const uint32_t n_left = layer->n_out - block * QHN_BATCH_UNITS;
    const uint32_t kept = (n_left < QHN_BATCH_UNITS) ? signs & ((1u << n_left) - 1u) : signs;

    if ((block % 2u) == 0u) {
        y[block / 2u] = kept;
    } else {
        y[block / 2u] |= kept << 16;
    }
}

static void store_logits(const qhn_batch_layer *layer, uint32_t block, const uint32_t *sums, int32_t *logits)
{
    const uint32_t first = block * QHN_BATCH_UNITS;

    for (uint32_t k = 0u; (k < QHN_BATCH_UNITS) && (first + k < layer->n_out); k++) {
        uint32_t value = sums[k];

        if (layer->activation == QHN_BATCH_AFFINE) {
            value = layer->table[2u * (first + k)] * value + layer->table[2u * (first + k) + 1u];
        }
        logits[first + k] = as_signed(value);
    }
}

/* Accumulators of LANES units, from unit `lane` of a block on, for every row; bias_at tells where its biases begin. */
INLINE void accumulate(const qhn_batch_layer *layer, uint32_t block, uint32_t lane, const uint32_t *x,
                       const size_t *bias_at, const uint32_t *offsets, vector *a)
{
    const size_t stride = (size_t)layer->n_planes * layer->n_words;
    const uint32_t *w = &layer->weights[(size_t)block * layer->n_words * QHN_BATCH_UNITS + lane];
    const vector zero = {0};

    a[0] = a[1] = a[2] = a[3] = zero;
    for (uint32_t p = layer->n_planes; p > 0u; p--) {
        for (uint32_t r = 0u; r < QHN_BATCH_ROWS; r++) {
            a[r] += a[r];
        }
        count_rows(w, &x[(size_t)(p - 1u) * layer->n_words], stride, layer->n_words, a);
    }
    for (uint32_t r = 0u; r < QHN_BATCH_ROWS; r++) {
        vector bias;

        load(&bias, &layer->bias[bias_at[r] + (size_t)block * QHN_BATCH_UNITS + lane]);
        a[r] = a[r] * layer->by_count + bias + offsets[r];
    }
}

/* Computes one layer of QHN_BATCH_ROWS rows: planes y, or logits of the last layer. */
static void dense(const qhn_batch_layer *layer, const uint32_t *x, const size_t *bias_at, uint32_t *y, int32_t *logits)
{
    const size_t stride = (size_t)layer->n_planes * layer->n_words;
    const size_t y_stride = (size_t)layer->n_out_planes * QHN_BATCH_WORDS(layer->n_out);
    const uint32_t n_blocks = (layer->n_out - 1u) / QHN_BATCH_UNITS + 1u;
    uint32_t offsets[QHN_BATCH_ROWS];

    for (uint32_t r = 0u; r < QHN_BATCH_ROWS; r++) {
        offsets[r] = (layer->by_sum == 0u)
                         ? 0u
                         : layer->by_sum * sum_of(&x[r * stride], layer->n_planes, layer->n_words);
    }
    if ((layer->activation == QHN_BATCH_RELU) || (layer->activation == QHN_BATCH_TABLE)) {
        memset(y, 0, QHN_BATCH_ROWS * y_stride * sizeof *y);
    }
    for (uint32_t block = 0u; block < n_blocks; block++) {
        uint32_t sums[QHN_BATCH_ROWS][QHN_BATCH_UNITS];
        uint32_t signs[QHN_BATCH_ROWS] = {0u};

        for (uint32_t lane = 0u; lane < QHN_BATCH_UNITS; lane += LANES) {
            vector a[QHN_BATCH_ROWS];

            accumulate(layer, block, lane, x, bias_at, offsets, a);
            for (uint32_t r = 0u; r < QHN_BATCH_ROWS; r++) {
                if (layer->activation == QHN_BATCH_SIGN) {
                    signs[r] |= not_negative(&a[r]) << lane;
                } else {
                    memcpy(&sums[r][lane], &a[r], sizeof a[r]);
                }
            }
        }
        for (uint32_t r = 0u; r < QHN_BATCH_ROWS; r++) {
            if (layer->activation == QHN_BATCH_SIGN) {
                store_signs(layer, block, signs[r], &y[r * y_stride]);
            } else if (layer->n_out_planes == 0u) {
                store_logits(layer, block, sums[r], &logits[(size_t)r * layer->n_out]);
            } else {
                store_planes(layer, block, sums[r], &y[r * y_stride]);
            }
        }
    }
}

/* ---- Images ---- */

/* Sets those of the n bits of y from bit `at` on that are set in x from bit `from` on. */
static void copy_bits(uint32_t *y, size_t at, const uint32_t *x, size_t from, size_t n)
{
    while (n > 0u) {
        const size_t left_y = 32u - at % 32u;
        const size_t left_x = 32u - from % 32u;
        const size_t left = (left_x < left_y) ? left_x : left_y;
        const size_t step = (n < left) ? n : left;

        y[at / 32u] |= ((x[from / 32u] >> (from % 32u)) & (UINT32_MAX >> (32u - step))) << (at % 32u);
        at += step;
        from += step;
        n -= step;
    }
}

INLINE size_t image_words(const qhn_batch_windows *w)
{
    return QHN_BATCH_WORDS((size_t)w->height * w->width * w->channels);
}

/* Copies the window of an output to a patch; what is outside the image becomes 0. */
static void copy_window(const qhn_batch_layer *layer, const uint32_t *image, size_t window, uint32_t *patch)
{
    const qhn_batch_windows *w = layer->windows;
    const size_t top = (window / w->n_columns) * w->row_step;     /* rows and columns count from the padding on */
    const size_t left = (window % w->n_columns) * w->column_step;
    const size_t first = (left < w->left) ? w->left : left;
    const size_t end = (left + w->columns < w->left + w->width) ? left + w->columns : w->left + w->width;

    memset(patch, 0, (size_t)layer->n_planes * layer->n_words * sizeof *patch);
    for (size_t row = 0u; row < w->rows; row++) {
        if ((top + row < w->top) || (top + row >= w->top + w->height)) {
            continue;
        }
        for (uint32_t p = 0u; p < layer->n_planes; p++) {
            copy_bits(&patch[(size_t)p * layer->n_words], (row * w->columns + (first - left)) * w->channels,
                      &image[p * image_words(w)], ((top + row - w->top) * w->width + (first - w->left)) * w->channels,
                      (end - first) * w->channels);
        }
    }
}

/* Where the biases of a window begin. */
INLINE size_t biases_of(const qhn_batch_layer *layer, size_t window)
{
    const qhn_batch_windows *w = layer->windows;
    const size_t n_units = ((layer->n_out - 1u) / QHN_BATCH_UNITS + 1u) * QHN_BATCH_UNITS;

    if (w->row_kind == NULL) {
        return 0u;
    }
    return n_units * ((size_t)w->row_kind[window / w->n_columns] + w->column_kind[window % w->n_columns]);
}

/* Computes a convolution of n_images images. */
static void convolve(const qhn_batch_layer *layer, const uint32_t *x, size_t n_images, uint32_t *patches, uint32_t *y)
{
    const qhn_batch_windows *w = layer->windows;
    const size_t n_windows = (size_t)w->n_rows * w->n_columns;
    const size_t stride = (size_t)layer->n_planes * layer->n_words;
    const size_t unit_words = QHN_BATCH_WORDS(layer->n_out);
    const size_t y_words = QHN_BATCH_WORDS(n_windows * layer->n_out);
    uint32_t *const units = &patches[QHN_BATCH_ROWS * stride];

    memset(y, 0, QHN_BATCH_ROWS * layer->n_out_planes * y_words * sizeof *y);
    for (size_t i = 0u; i < n_images * n_windows; i += QHN_BATCH_ROWS) {
        size_t bias_at[QHN_BATCH_ROWS];

        for (size_t r = 0u; r < QHN_BATCH_ROWS; r++) {
            const size_t k = (i + r < n_images * n_windows) ? i + r : i;

            copy_window(layer, &x[(k / n_windows) * layer->n_planes * image_words(w)], k % n_windows, &patches[r * stride]);
            bias_at[r] = biases_of(layer, k % n_windows);
        }
        dense(layer, patches, bias_at, units, NULL);
        for (size_t r = 0u; (r < QHN_BATCH_ROWS) && (i + r < n_images * n_windows); r++) {
            uint32_t *const image = &y[((i + r) / n_windows) * layer->n_out_planes * y_words];

            for (uint32_t p = 0u; p < layer->n_out_planes; p++) {
                copy_bits(&image[p * y_words], ((i + r) % n_windows) * layer->n_out,
                          &units[(r * layer->n_out_planes + p) * unit_words], 0u, layer->n_out);
            }
        }
    }
}

/* Replaces the numbers of `best` by those of `other` that are larger; both are planes of n_words words. */
static void take_larger(uint32_t *best, const uint32_t *other, size_t n_planes, size_t n_words)
{
    for (size_t j = 0u; j < n_words; j++) {
        uint32_t decided = 0u;
        uint32_t larger = 0u;

        for (size_t p = n_planes; p > 0u; p--) {
            const uint32_t differ = (best[(p - 1u) * n_words + j] ^ other[(p - 1u) * n_words + j]) & ~decided;

            larger |= differ & other[(p - 1u) * n_words + j];
            decided |= differ;
        }
        for (size_t p = 0u; p < n_planes; p++) {
            best[p * n_words + j] ^= (best[p * n_words + j] ^ other[p * n_words + j]) & larger;
        }
    }
}

/* Copies a pixel; channels of which the smallest is taken are inverted, which turns their order around. */
static void copy_pixel(const qhn_batch_layer *layer, const uint32_t *image, size_t pixel, uint32_t *values)
{
    const size_t n_words = QHN_BATCH_WORDS(layer->n_out);

    for (uint32_t p = 0u; p < layer->n_planes; p++) {
        memcpy(&values[p * n_words], layer->windows->minimum, n_words * sizeof *values);
        for (size_t k = 0u; k < n_words; k++) {
            uint32_t word = 0u;
            const size_t n_left = layer->n_out - 32u * k;

            copy_bits(&word, 0u, &image[p * image_words(layer->windows)], pixel * layer->n_out + 32u * k,
                      (n_left < 32u) ? n_left : 32u);
            values[p * n_words + k] ^= word;
        }
    }
}

/* Computes a pooling of one image; windows are inside it. */
static void pool(const qhn_batch_layer *layer, const uint32_t *x, uint32_t *values, uint32_t *y)
{
    const qhn_batch_windows *w = layer->windows;
    const size_t n_words = QHN_BATCH_WORDS(layer->n_out);
    const size_t y_words = QHN_BATCH_WORDS((size_t)w->n_rows * w->n_columns * layer->n_out);
    uint32_t *const other = &values[layer->n_planes * n_words];

    memset(y, 0, layer->n_planes * y_words * sizeof *y);
    for (size_t i = 0u; i < (size_t)w->n_rows * w->n_columns; i++) {
        const size_t first = (i / w->n_columns) * w->row_step * w->width + (i % w->n_columns) * w->column_step;

        copy_pixel(layer, x, first, values);
        for (size_t k = 1u; k < (size_t)w->rows * w->columns; k++) {
            copy_pixel(layer, x, first + (k / w->columns) * w->width + k % w->columns, other);
            take_larger(values, other, layer->n_planes, n_words);
        }
        for (size_t p = 0u; p < layer->n_planes; p++) {
            for (size_t k = 0u; k < n_words; k++) {
                values[p * n_words + k] ^= w->minimum[k];
            }
            copy_bits(&y[p * y_words], i * layer->n_out, &values[p * n_words], 0u, layer->n_out);
        }
    }
}

/* Computes one layer of QHN_BATCH_ROWS rows, of which n_rows matter. */
static void run_layer(const qhn_batch_layer *layer, const uint32_t *x, size_t n_rows, uint32_t *patches, uint32_t *y,
                      int32_t *logits)
{
    const qhn_batch_windows *w = layer->windows;
    const size_t bias_at[QHN_BATCH_ROWS] = {0u};

    if (w == NULL) {
        dense(layer, x, bias_at, y, logits);
    } else if (layer->weights != NULL) {
        convolve(layer, x, n_rows, patches, y);
    } else {
        const size_t x_stride = layer->n_planes * image_words(w);
        const size_t y_stride =
            layer->n_planes * (size_t)QHN_BATCH_WORDS((size_t)w->n_rows * w->n_columns * layer->n_out);

        for (size_t r = 0u; r < n_rows; r++) {
            pool(layer, &x[r * x_stride], patches, &y[r * y_stride]);
        }
        memset(&y[n_rows * y_stride], 0, (QHN_BATCH_ROWS - n_rows) * y_stride * sizeof *y);
    }
}

/* ---- Rows of input ---- */

/* The four bytes from x on as a word, the first as its lowest; bytes past the n left are 0. */
INLINE uint32_t word_of(const uint8_t *x, size_t n)
{
    uint32_t word = 0u;

    if (n >= 4u) {
        return (uint32_t)x[0] | ((uint32_t)x[1] << 8) | ((uint32_t)x[2] << 16) | ((uint32_t)x[3] << 24);
    }
    for (size_t k = 0u; k < n; k++) {
        word |= (uint32_t)x[k] << (8u * k);
    }
    return word;
}

static void read_bits(const uint8_t *x, uint32_t n_features, uint32_t *planes)
{
    const uint32_t n_words = QHN_BATCH_WORDS(n_features);
    const size_t n_bytes = ((size_t)n_features - 1u) / 8u + 1u;

    for (uint32_t j = 0u; j < n_words; j++) {
        planes[j] = word_of(&x[4u * (size_t)j], n_bytes - 4u * (size_t)j);
    }
    if ((n_features % 32u) != 0u) {
        planes[n_words - 1u] &= (1u << (n_features % 32u)) - 1u;
    }
}

/* Bit p of each of eight bytes becomes a bit of plane p; `flip` is 0x80 where bytes are int8_t, else 0. */
static void read_bytes(const uint8_t *x, uint32_t n_features, uint32_t flip, uint32_t *planes)
{
    const uint32_t n_words = QHN_BATCH_WORDS(n_features);

    memset(planes, 0, 8u * (size_t)n_words * sizeof *planes);
    for (uint32_t j = 0u; j < n_features; j += 8u) {
        const uint32_t n = (n_features - j < 8u) ? n_features - j : 8u;
        uint64_t bytes = word_of(&x[j], n) | ((uint64_t)word_of(&x[(n > 4u) ? j + 4u : j], (n > 4u) ? n - 4u : 0u) << 32);

        bytes ^= (flip * UINT64_C(0x0101010101010101)) >> (64u - 8u * n);
        for (uint32_t p = 0u; p < 8u; p++) {
            const uint64_t ones = (bytes >> p) & UINT64_C(0x0101010101010101);
            const uint32_t bits = (uint32_t)((ones * UINT64_C(0x0102040810204080)) >> 56);

            planes[(size_t)p * n_words + j / 32u] |= bits << (j % 32u);
        }
    }
}

static uint16_t label_of(const qhn_batch_model *model, const int32_t *logits, uint32_t n_logits)
{
    uint32_t best = 0u;

    if (model->threshold != 0u) {
        return (logits[0] >= 0) ? 1u : 0u;
    }
    for (uint32_t k = 1u; k < n_logits; k++) {
        best = (logits[k] > logits[best]) ? k : best;
    }
    return (uint16_t)best;
}

/* Reads QHN_BATCH_ROWS rows; where fewer are left, the last one again. */
static void read_rows(const qhn_batch_model *model, const uint8_t *x, size_t n_left, uint32_t *planes)
{
    const uint32_t n = model->n_features;
    const size_t row_bytes = (model->input == QHN_BATCH_BIT) ? ((size_t)n - 1u) / 8u + 1u : n;
    const size_t stride = (size_t)QHN_BATCH_WORDS(n) * model->layers[0].n_planes;

    for (size_t r = 0u; r < QHN_BATCH_ROWS; r++) {
        const uint8_t *row = &x[((r < n_left) ? r : n_left - 1u) * row_bytes];

        if (model->input == QHN_BATCH_BIT) {
            read_bits(row, n, &planes[r * stride]);
        } else {
            read_bytes(row, n, (model->input == QHN_BATCH_INT8) ? 0x80u : 0u, &planes[r * stride]);
        }
    }
}

void qhn_batch_run(const qhn_batch_model *model, const uint8_t *x, size_t n, uint32_t *scratch_a, uint32_t *scratch_b,
                   uint32_t *patches, int32_t *values, int32_t *logits, uint16_t *labels)
{
    const size_t row_bytes = (model->input == QHN_BATCH_BIT) ? ((size_t)model->n_features - 1u) / 8u + 1u
                                                             : model->n_features;
    const uint32_t n_logits = model->layers[model->n_layers - 1u].n_out;

    for (size_t i = 0u; i < n; i += QHN_BATCH_ROWS) {
        const size_t n_rows = (n - i < QHN_BATCH_ROWS) ? n - i : QHN_BATCH_ROWS;
        uint32_t *from = scratch_a;
        uint32_t *to = scratch_b;

        read_rows(model, &x[i * row_bytes], n_rows, from);
        for (uint32_t k = 0u; k < model->n_layers; k++) {
            uint32_t *const next = from;

            run_layer(&model->layers[k], from, n_rows, patches, to, values);
            from = to;
            to = next;
        }
        if (logits != NULL) {
            memcpy(&logits[i * n_logits], values, n_rows * n_logits * sizeof *values);
        }
        for (size_t r = 0u; (labels != NULL) && (r < n_rows); r++) {
            labels[i + r] = label_of(model, &values[r * n_logits], n_logits);
        }
    }
}
