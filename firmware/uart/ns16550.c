/* A UART like the 16550 with byte registers, as on QEMU's RISC-V machine "virt". The board's file gives its address,
 * QHN_UART. Its baud rate is left as it is: the emulated one has none. */
#include "qhn_board.h"

#define REGISTER(address) (*(volatile uint8_t *)(address))
#define UART_DATA REGISTER(QHN_UART + 0u)
#define UART_LINE_CONTROL REGISTER(QHN_UART + 3u)
#define UART_LINE_STATUS REGISTER(QHN_UART + 5u)
#define EIGHT_BITS 0x03u
#define BYTE_WAITS 0x01u
#define MAY_WRITE 0x20u

void qhn_board_init(void)
{
    UART_LINE_CONTROL = EIGHT_BITS;
}

int16_t qhn_uart_read(void)
{
    return ((UART_LINE_STATUS & BYTE_WAITS) != 0u) ? (int16_t)UART_DATA : (int16_t)-1;
}

void qhn_uart_write(uint8_t byte)
{
    while ((UART_LINE_STATUS & MAY_WRITE) == 0u) {
    }
    UART_DATA = byte;
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
