/* UART0 of the SiFive FE310-G002 (its manual, chapters "UART", "GPIO" and "PRCI"). The clock is the crystal of 16 MHz,
 * without the PLL. */
#include "qhn_board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define PRCI 0x10008000u
#define PRCI_CRYSTAL REGISTER(PRCI + 0x4u)
#define PRCI_PLL REGISTER(PRCI + 0x8u)
#define CRYSTAL_ON (UINT32_C(1) << 30)
#define CRYSTAL_READY (UINT32_C(1) << 31)
#define PLL_SELECT (UINT32_C(1) << 16)
#define PLL_FROM_CRYSTAL (UINT32_C(1) << 17)
#define PLL_BYPASS (UINT32_C(1) << 18)

#define GPIO_FUNCTION_ENABLE REGISTER(0x10012038u)
#define GPIO_FUNCTION_SELECT REGISTER(0x1001203cu)
#define PINS_16_17 (UINT32_C(3) << 16)

#define UART0 0x10013000u
#define UART0_TXDATA REGISTER(UART0 + 0x00u)
#define UART0_RXDATA REGISTER(UART0 + 0x04u)
#define UART0_TXCTRL REGISTER(UART0 + 0x08u)
#define UART0_RXCTRL REGISTER(UART0 + 0x0cu)
#define UART0_DIV REGISTER(UART0 + 0x18u)
#define FULL_OR_EMPTY (UINT32_C(1) << 31)
#define ENABLE 1u

void qhn_board_init(void)
{
    PRCI_CRYSTAL = CRYSTAL_ON;
    while ((PRCI_CRYSTAL & CRYSTAL_READY) == 0u) {
    }
    PRCI_PLL = PLL_BYPASS | PLL_FROM_CRYSTAL | PLL_SELECT;
    UART0_DIV = (((uint32_t)QHN_CLOCK_HZ + ((uint32_t)QHN_BAUD / 2u)) / (uint32_t)QHN_BAUD) - 1u;
    UART0_TXCTRL = ENABLE;
    UART0_RXCTRL = ENABLE;
    GPIO_FUNCTION_SELECT &= ~PINS_16_17;
    GPIO_FUNCTION_ENABLE |= PINS_16_17;
}

int16_t qhn_uart_read(void)
{
    const uint32_t received = UART0_RXDATA;

    return ((received & FULL_OR_EMPTY) == 0u) ? (int16_t)(uint8_t)received : (int16_t)-1;
}

void qhn_uart_write(uint8_t byte)
{
    while ((UART0_TXDATA & FULL_OR_EMPTY) != 0u) {
    }
    UART0_TXDATA = byte;
}

uint32_t qhn_ticks(void)
{
    uint32_t cycles = 0u;

    __asm__ volatile("csrr %0, mcycle" : "=r"(cycles));
    return cycles;
}

uint32_t qhn_ticks_per_second(void)
{
    return (uint32_t)QHN_CLOCK_HZ;
}
