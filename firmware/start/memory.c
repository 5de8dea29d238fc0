/* The four functions of <string.h> that compilers call by themselves, for images without a C library.
 *
 * Compile with -ffreestanding and -fno-tree-loop-distribute-patterns, or a compiler turns each loop into a
 * call of the function it stands in.
 */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    uint8_t *t = to;
    const uint8_t *f = from;

    for (size_t i = 0u; i < n; i++) {
        t[i] = f[i];
    }
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    uint8_t *t = to;
    const uint8_t *f = from;

    if ((uintptr_t)t <= (uintptr_t)f) {
        for (size_t i = 0u; i < n; i++) {
            t[i] = f[i];
        }
    } else {
        for (size_t i = n; i > 0u; i--) {
            t[i - 1u] = f[i - 1u];
        }
    }
    return to;
}

void *memset(void *to, int value, size_t n)
{
    uint8_t *t = to;

    for (size_t i = 0u; i < n; i++) {
        t[i] = (uint8_t)value;
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *p = a;
    const uint8_t *q = b;
    int difference = 0;

    for (size_t i = 0u; (i < n) && (difference == 0); i++) {
        difference = (int)p[i] - (int)q[i];
    }
    return difference;
}
