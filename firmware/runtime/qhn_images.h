/* qhn_images: runs of bits in packed rows, for the windows of convolutions and poolings. Contracts as in qhn_binn.h.
 *
 * An image of -1/+1 values is one packed row: channel k of the pixel in row y and column x is element
 * (y width + x) channels + k, so that neighbouring pixels of a row of the image are one run of bits.
 */
#ifndef QHN_IMAGES_H
#define QHN_IMAGES_H

#include "qhn_binn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sets words[n] to 0. */
QHN_INLINE void qhn_clear(uint32_t *words, uint16_t n)
{
    for (uint16_t i = 0u; i < n; i++) {
        words[i] = 0u;
    }
}

/* Joins n bits of x from element `from` on with those of y from element `to` on: y = y or x. n is 1 to 65535. */
QHN_INLINE void qhn_join_bits(uint32_t *y, uint32_t to, const uint32_t *x, uint32_t from, uint32_t n)
{
    uint32_t n_left = n;

    y += to / 32u;
    x += from / 32u;
    to %= 32u;
    from %= 32u;
    while (n_left != 0u) {
        const uint32_t n_room = 32u - ((to > from) ? to : from);
        const uint32_t n_now = (n_left < n_room) ? n_left : n_room;

        *y |= ((*x >> from) & (0xffffffffu >> (32u - n_now))) << to;
        to += n_now;
        from += n_now;
        n_left -= n_now;
        if (to == 32u) {
            to = 0u;
            y++;
        }
        if (from == 32u) {
            from = 0u;
            x++;
        }
    }
}

/* Sets n bits of y to 1 from element `to` on; n is 0 to 65535. */
QHN_INLINE void qhn_set_bits(uint32_t *y, uint32_t to, uint32_t n)
{
    uint32_t n_left = n;

    y += to / 32u;
    to %= 32u;
    while (n_left != 0u) {
        const uint32_t n_room = 32u - to;
        const uint32_t n_now = (n_left < n_room) ? n_left : n_room;

        *y |= (0xffffffffu >> (32u - n_now)) << to;
        to = 0u;
        n_left -= n_now;
        y++;
    }
}

#ifdef __cplusplus
}
#endif

#endif
