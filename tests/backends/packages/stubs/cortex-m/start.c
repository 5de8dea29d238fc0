/* Vector table of a Cortex-M for QEMU; _start is newlib's. Standard output goes through semihosting. */
#include <stdint.h>

extern void _start(void);
extern uint32_t __stack[];

static void stop(void)
{
    for (;;) {
    }
}

__attribute__((section(".vectors"), used)) static const void *const VECTORS[16] = {
    __stack, (const void *)_start, (const void *)stop, (const void *)stop,
};
