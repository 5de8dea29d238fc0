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

    for (uint32_t *to = qhn_data_start; to < qhn_data_end; to++) {
        *to = *from++;
    }
    for (uint32_t *to = qhn_bss_start; to < qhn_bss_end; to++) {
        *to = 0u;
    }
    (void)main();
    qhn_fault();
}
