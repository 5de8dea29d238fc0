/* Start-up of every Cortex-M: vector table, RAM, FPU where there is one, then main().
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
extern uint32_t qhn_bss_start[];
extern uint32_t qhn_bss_end[];
extern uint32_t qhn_stack_top[];

/* Entry 0 is the initial stack pointer, entry 1 the reset vector, entries 2 to 15 the core's exceptions. A chip
 * whose start-up needs interrupt vectors brings its own table. */
typedef union {
    uint32_t *stack_top;
    void (*handler)(void);
} qhn_vector;

extern const qhn_vector qhn_vectors[16];

__attribute__((section(".vectors"), used)) const qhn_vector qhn_vectors[16] = {
    {.stack_top = qhn_stack_top},
    {.handler = Reset_Handler},
    {.handler = qhn_fault}, /* NMI */
    {.handler = qhn_fault}, /* hard fault */
    {.handler = qhn_fault}, /* memory management */
    {.handler = qhn_fault}, /* bus fault */
    {.handler = qhn_fault}, /* usage fault */
    {.handler = qhn_fault}, /* secure fault of ARMv8-M */
    {0},
    {0},
    {0},
    {.handler = qhn_fault}, /* SVCall */
    {.handler = qhn_fault}, /* debug monitor */
    {0},
    {.handler = qhn_fault}, /* PendSV */
    {.handler = qhn_fault}, /* SysTick */
};

void qhn_fault(void)
{
    for (;;) {
    }
}

void Reset_Handler(void)
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
