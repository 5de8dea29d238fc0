/* qhn_slices: layers of packed inputs, 32 units at a time, merged into the layer that uses them. Contracts as in qhn_binn.h.
 *
 * Their arguments that are constants in generated code (counts of words, planes and groups) decide at compile time
 * which of their lines remain. A chain of comparisons with a constant therefore stands where a loop would, so that
 * small arrays stay in registers.
 *
 * Slices. A slice holds one bit of each of 32 units (16 on AVR), a block; a number for each unit of a block is kept as
 * planes: bit i of plane k is bit k of unit i's number. Adding one bit to every unit's number is then a few logical
 * operations for the whole block.
 */
#ifndef QHN_SLICES_H
#define QHN_SLICES_H

#include "qhn_binn.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifndef QHN_SLICE_BITS
#define QHN_SLICE_BITS 32
#endif

#if QHN_SLICE_BITS == 32
typedef uint32_t qhn_slice;
#else
typedef uint16_t qhn_slice;
#endif

#define QHN_MAX_PLANES 18u

/* ---- Adding slices ---- */

/* Adds slices b and c to plane *p; returns the carries, whose weight is twice that of the plane. */
#if defined(__GNUC__) && defined(__thumb__) && !defined(__thumb2__)
/* Five instructions in place; the compiler's form of the one below needs copies, for these cores overwrite an
 * operand. With u = b ^ c the carry is p ^ ((p ^ c) & ~u). */
QHN_INLINE qhn_slice qhn_add3(qhn_slice *p, qhn_slice b, qhn_slice c)
{
    qhn_slice sum = *p;

    __asm__ volatile(".syntax unified\n\t"
                     "eors %1, %2\n\t"
                     "eors %2, %0\n\t"
                     "bics %2, %1\n\t"
                     "eors %2, %0\n\t"
                     "eors %0, %1"
                     : "+l"(sum), "+l"(b), "+l"(c)
                     :
                     : "cc");
    *p = sum;
    return c;
}
#else
QHN_INLINE qhn_slice qhn_add3(qhn_slice *p, qhn_slice b, qhn_slice c)
{
    const qhn_slice u = (qhn_slice)(b ^ c);
    qhn_slice sum = (qhn_slice)(*p ^ u);
    qhn_slice carry = (qhn_slice)(c ^ ((*p ^ c) & u));

    QHN_READY(sum);
    QHN_READY(carry);
    *p = sum;
    return carry;
}
#endif

/* Adds slice b to plane *p; returns the carries. */
QHN_INLINE qhn_slice qhn_add2(qhn_slice *p, qhn_slice b)
{
    const qhn_slice carry = (qhn_slice)(*p & b);

    *p = (qhn_slice)(*p ^ b);
    return carry;
}

/* Adds slice b to planes p[first] to p[n_planes - 1]; the sum must fit. first is 4 or 5. */
QHN_INLINE void qhn_add_up(qhn_slice *p, uint8_t first, uint8_t n_planes, qhn_slice b)
{
    if (first < 5u) { b = qhn_add2(&p[4], b); }
    if (n_planes > 5u) { b = qhn_add2(&p[5], b); }
    if (n_planes > 6u) { b = qhn_add2(&p[6], b); }
    if (n_planes > 7u) { b = qhn_add2(&p[7], b); }
    if (n_planes > 8u) { b = qhn_add2(&p[8], b); }
    if (n_planes > 9u) { b = qhn_add2(&p[9], b); }
    if (n_planes > 10u) { b = qhn_add2(&p[10], b); }
    if (n_planes > 11u) { b = qhn_add2(&p[11], b); }
    if (n_planes > 12u) { b = qhn_add2(&p[12], b); }
    if (n_planes > 13u) { b = qhn_add2(&p[13], b); }
    if (n_planes > 14u) { b = qhn_add2(&p[14], b); }
    if (n_planes > 15u) { b = qhn_add2(&p[15], b); }
    if (n_planes > 16u) { b = qhn_add2(&p[16], b); }
    if (n_planes > 17u) { b = qhn_add2(&p[17], b); }
    (void)b;
}

/* ---- Sixteen inputs a step ---- */

/* Words of table for sixteen inputs: 1 a single input; 8 pairs of slices a group of three inputs, 5 of them, and 1. */
#define QHN_SINGLES_LENGTH 16u
#define QHN_TRIPLES_LENGTH 81u

/* The table's slices t[j] have bit i set where unit i's term of input j counts while bit j of x is 0. Adds the terms of
 * the sixteen low bits of x to planes 0 to 3; returns the carries, of weight 16. */
QHN_INLINE qhn_slice qhn_singles(const QHN_FLASH qhn_slice *t, uint32_t x, qhn_slice *p)
{
#if QHN_SLICE_BITS == 32
#define QHN_TERM(j) (t[j] ^ (0u - ((x >> (j)) & 1u)))
#else
    const uint16_t bits = (uint16_t)x;
#define QHN_TERM(j) ((qhn_slice)(((bits & ((uint16_t)1u << (j))) != 0u) ? (qhn_slice)~t[j] : t[j]))
#endif
    qhn_slice c2;
    qhn_slice c4;
    qhn_slice c8;

    c2 = qhn_add3(&p[0], QHN_TERM(0), QHN_TERM(1));
    c2 = qhn_add3(&p[1], c2, qhn_add3(&p[0], QHN_TERM(2), QHN_TERM(3)));
    c4 = c2;
    c2 = qhn_add3(&p[0], QHN_TERM(4), QHN_TERM(5));
    c2 = qhn_add3(&p[1], c2, qhn_add3(&p[0], QHN_TERM(6), QHN_TERM(7)));
    c8 = qhn_add3(&p[2], c4, c2);
    c2 = qhn_add3(&p[0], QHN_TERM(8), QHN_TERM(9));
    c2 = qhn_add3(&p[1], c2, qhn_add3(&p[0], QHN_TERM(10), QHN_TERM(11)));
    c4 = c2;
    c2 = qhn_add3(&p[0], QHN_TERM(12), QHN_TERM(13));
    c2 = qhn_add3(&p[1], c2, qhn_add3(&p[0], QHN_TERM(14), QHN_TERM(15)));
    c4 = qhn_add3(&p[2], c4, c2);
    return qhn_add3(&p[3], c8, c4);
#undef QHN_TERM
}

/* Where a load reaches no more than 124 bytes from its address register, the register follows the groups. */
#if defined(__thumb__) && !defined(__thumb2__)
#define QHN_NEAR(t, n) \
    if (((n) == 2u) || ((n) == 4u)) { \
        (t) += 32; \
        QHN_READY(t); \
    }
#define QHN_OFFSET(n) (16u * ((n) % 2u))
#else
#define QHN_NEAR(t, n)
#define QHN_OFFSET(n) (16u * (n))
#endif

/* The table holds, for each group of three inputs and each of their eight values, the sum of the terms as two slices
 * (weights 1 and 2), and one slice as above for the sixteenth input. Which inputs make a group is chosen so that a
 * core extracts them cheaply: neighbours, or (on AVR) bits of one byte. */
QHN_INLINE qhn_slice qhn_triples(const QHN_FLASH qhn_slice *t, uint32_t x, qhn_slice *p)
{
    const QHN_FLASH qhn_slice *row;
    qhn_slice s;
    qhn_slice c;
    qhn_slice c2;
    qhn_slice c4;
    qhn_slice c8;
    qhn_slice s1;
    qhn_slice s2;
#if QHN_SLICE_BITS == 32
#define QHN_ROW(n, index, k) \
    QHN_NEAR(t, n); \
    row = &t[2u * ((x >> (k)) & 7u)]; \
    QHN_READY(row); \
    row = &row[QHN_OFFSET(n)]
#define QHN_LAST (0u - ((x >> 15) & 1u))
#else
    const uint8_t low = (uint8_t)x;
    const uint8_t high = (uint8_t)(x >> 8);
#define QHN_ROW(n, index, k) \
    row = &t[16u * (n) + (uint8_t)(index)]; \
    QHN_READY(row)
#define QHN_LAST (((high & 0x80u) != 0u) ? 0xffffu : 0u)
#endif
    QHN_ROW(0u, ((unsigned)low << 1) & 0x0eu, 0);
    s1 = row[0];
    c = row[1];
    QHN_ROW(1u, (low >> 2) & 0x0eu, 3);
    c2 = qhn_add3(&p[0], s1, row[0]);
    c4 = qhn_add3(&p[1], c, row[1]);
    QHN_ROW(2u, ((unsigned)high << 1) & 0x0eu, 6);
    s1 = row[0];
    c = row[1];
    QHN_ROW(3u, (high >> 2) & 0x0eu, 9);
    s2 = row[1];
    s = qhn_add3(&p[0], s1, row[0]);
    c8 = qhn_add3(&p[1], c2, s);
    c8 = qhn_add3(&p[2], c4, c8);
    c4 = qhn_add3(&p[1], c, s2);
    QHN_ROW(4u, ((low >> 5) & 0x06u) | ((high >> 3) & 0x08u), 12);
    s1 = row[0];
    c = row[1];
    s2 = (qhn_slice)(t[QHN_OFFSET(5u)] ^ QHN_LAST);
    s = qhn_add3(&p[0], s1, s2);
    s = qhn_add3(&p[1], c, s);
    s = qhn_add3(&p[2], c4, s);
    return qhn_add3(&p[3], c8, s);
#undef QHN_ROW
#undef QHN_LAST
}

/* ---- Blocks of units ---- */

/* Loads the planes that a block's table begins with. */
QHN_INLINE void qhn_load_planes(const QHN_FLASH qhn_slice *t, uint8_t n_planes, qhn_slice *p)
{
    p[0] = t[0];
    p[1] = t[1];
    p[2] = t[2];
    p[3] = t[3];
    p[4] = t[4];
    if (n_planes > 5u) { p[5] = t[5]; }
    if (n_planes > 6u) { p[6] = t[6]; }
    if (n_planes > 7u) { p[7] = t[7]; }
    if (n_planes > 8u) { p[8] = t[8]; }
    if (n_planes > 9u) { p[9] = t[9]; }
    if (n_planes > 10u) { p[10] = t[10]; }
    if (n_planes > 11u) { p[11] = t[11]; }
    if (n_planes > 12u) { p[12] = t[12]; }
    if (n_planes > 13u) { p[13] = t[13]; }
    if (n_planes > 14u) { p[14] = t[14]; }
    if (n_planes > 15u) { p[15] = t[15]; }
    if (n_planes > 16u) { p[16] = t[16]; }
    if (n_planes > 17u) { p[17] = t[17]; }
}

/* Adds to the planes p, 5 to QHN_MAX_PLANES of them, the terms of 16 n_steps inputs x; the table t begins with the
 * planes' first values. The sums must fit. Returns what follows this block's table. */
QHN_INLINE const QHN_FLASH qhn_slice *qhn_count_sliced(const QHN_FLASH qhn_slice *t, const uint32_t *x,
                                                        uint16_t n_steps, uint8_t n_planes, qhn_slice *p)
{
    qhn_load_planes(t, n_planes, p);
    t += n_planes;
    for (uint16_t k = 0u; k < n_steps / 2u; k++) {
        const qhn_slice a = qhn_singles(t, x[k], p);
        const qhn_slice b = qhn_singles(t + QHN_SINGLES_LENGTH, x[k] >> 16, p);

        t += 2u * QHN_SINGLES_LENGTH;
        qhn_add_up(p, 5u, n_planes, qhn_add3(&p[4], a, b));
    }
    if ((n_steps % 2u) != 0u) {
        qhn_add_up(p, 4u, n_planes, qhn_singles(t, x[n_steps / 2u], p));
        t += QHN_SINGLES_LENGTH;
    }
    return t;
}

QHN_INLINE const QHN_FLASH qhn_slice *qhn_count_triples(const QHN_FLASH qhn_slice *t, const uint32_t *x,
                                                        uint16_t n_steps, uint8_t n_planes, qhn_slice *p)
{
    qhn_load_planes(t, n_planes, p);
    t += n_planes;
    for (uint16_t k = 0u; k < n_steps / 2u; k++) {
        const qhn_slice a = qhn_triples(t, x[k], p);
        const qhn_slice b = qhn_triples(t + QHN_TRIPLES_LENGTH, x[k] >> 16, p);

        t += 2u * QHN_TRIPLES_LENGTH;
        qhn_add_up(p, 5u, n_planes, qhn_add3(&p[4], a, b));
    }
    if ((n_steps % 2u) != 0u) {
        qhn_add_up(p, 4u, n_planes, qhn_triples(t, x[n_steps / 2u], p));
        t += QHN_TRIPLES_LENGTH;
    }
    return t;
}

/* Stores a slice of sign bits as part number `block` of packed words; blocks come in ascending order. */
QHN_INLINE void qhn_put_slice(uint32_t *words, uint16_t block, qhn_slice bits)
{
#if QHN_SLICE_BITS == 32
    words[block] = bits;
#else
    if ((block % 2u) == 0u) {
        words[block / 2u] = bits;
    } else {
        words[block / 2u] |= (uint32_t)bits << 16;
    }
#endif
}

/* The numbers of units s, s + 8, ... of a block in the bytes of a slice, from the lowest; n_planes is 5 to 8. */
QHN_INLINE qhn_slice qhn_lanes(const qhn_slice *p, uint8_t n_planes, uint8_t s)
{
    const qhn_slice ones = (qhn_slice)0x01010101u;
    uint32_t lanes = ((uint32_t)p[0] >> s) & ones;

    lanes |= (((uint32_t)p[1] >> s) & ones) << 1;
    lanes |= (((uint32_t)p[2] >> s) & ones) << 2;
    lanes |= (((uint32_t)p[3] >> s) & ones) << 3;
    lanes |= (((uint32_t)p[4] >> s) & ones) << 4;
    if (n_planes > 5u) {
        lanes |= (((uint32_t)p[5] >> s) & ones) << 5;
    }
    if (n_planes > 6u) {
        lanes |= (((uint32_t)p[6] >> s) & ones) << 6;
    }
    if (n_planes > 7u) {
        lanes |= (((uint32_t)p[7] >> s) & ones) << 7;
    }
    return (qhn_slice)lanes;
}

/* The number of unit i of a block. */
QHN_INLINE uint32_t qhn_number(const qhn_slice *p, uint8_t n_planes, uint8_t i)
{
    uint32_t number = 0u;

    for (uint8_t k = 0u; k < n_planes; k++) {
        number |= (((uint32_t)p[k] >> i) & 1u) << k;
    }
    return number;
}

#ifdef __cplusplus
}
#endif

#endif
