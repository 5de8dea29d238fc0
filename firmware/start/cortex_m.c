/* Start-up of every Cortex-M: vector table, variables, then main().
 *
 * The linker script (cortex_m.ld.in) names the areas. Interrupts stay disabled; a fault of any kind ends in
 * qhn_fault(), where a debugger or an emulator finds it.
 */
#include <stdint.h>

int main(void);
void Reset_Handler(void);
void qhn_fault(void);

extern uint32_t qhn_data_start[];
extern uint32_t qhn_data_end[];
extern const uint32_t qhn_data_load[];
extern uint32_t qhn_bss_end[];
extern uint32_t qhn_stack_top[];

/* Stack pointer, then the handlers of reset, NMI and hard fault. There are no more entries: this firmware enables
 * no interrupt and no other fault handler, and a fault without a handler of its own is a hard fault. A chip whose
 * start-up needs more brings its own table. */
typedef union {
    uint32_t *stack_top;
    void (*handler)(void);
} qhn_vector;

extern const qhn_vector qhn_vectors[4];

__attribute__((section(".vectors"), used)) const qhn_vector qhn_vectors[4] = {
    {.stack_top = qhn_stack_top},
    {.handler = Reset_Handler},
    {.handler = qhn_fault}, /* NMI */
    {.handler = qhn_fault}, /* hard fault */
};

void qhn_fault(void)
{
    for (;;) {
    }
}

void Reset_Handler(void)
{
    const uint32_t *from = qhn_data_load;
    uint32_t *to = qhn_data_start;

    /* As numbers: C orders no pointers into different objects, and these symbols are objects of their own. */
    while ((uintptr_t)to < (uintptr_t)qhn_data_end) {
        *to = *from;
        to++;
        from++;
    }
    /* .bss follows .data without a gap that matters. */
    while ((uintptr_t)to < (uintptr_t)qhn_bss_end) {
        *to = 0u;
        to++;
    }
    (void)main();
    qhn_fault();
}
