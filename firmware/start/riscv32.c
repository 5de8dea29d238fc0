/* Start-up of every RV32 core after riscv32.S: RAM, then main(). Interrupts stay disabled; a trap of any kind
 * ends in qhn_fault(). */
#include <stdint.h>

int main(void);
void qhn_start(void);
void qhn_fault(void);

extern uint32_t qhn_data_start[];
extern uint32_t qhn_data_end[];
extern const uint32_t qhn_data_load[];
extern uint32_t qhn_bss_start[];
extern uint32_t qhn_bss_end[];

__attribute__((aligned(4))) void qhn_fault(void)
{
    for (;;) {
    }
}

void qhn_start(void)
{
    const uint32_t *from = qhn_data_load;
    uint32_t *to = qhn_data_start;

    /* As numbers: C orders no pointers into different objects, and these symbols are objects of their own. */
    while ((uintptr_t)to < (uintptr_t)qhn_data_end) {
        *to = *from;
        to++;
        from++;
    }
    to = qhn_bss_start;
    while ((uintptr_t)to < (uintptr_t)qhn_bss_end) {
        *to = 0u;
        to++;
    }
    (void)main();
    qhn_fault();
}
