/* UART of the emulated generic cores: two 32-bit registers that no real chip has.
 *
 * | address    | register | read                                          | written            |
 * | 0x40000000 | STATUS   | bit 0: a byte waits, bit 1: DATA takes a byte | -                  |
 * | 0x40000004 | DATA     | takes the waiting byte (0 when there is none) | sends bits 0 to 7  |
 */
#include "qhn_board.h"

#ifndef QHN_VIRTUAL_UART
#define QHN_VIRTUAL_UART 0x40000000u
#endif

#define STATUS (*(const volatile uint32_t *)(QHN_VIRTUAL_UART + 0u))
#define DATA (*(volatile uint32_t *)(QHN_VIRTUAL_UART + 4u))
#define BYTE_WAITS 1u
#define MAY_WRITE 2u

void qhn_board_init(void)
{
}

int16_t qhn_uart_read(void)
{
    return ((STATUS & BYTE_WAITS) != 0u) ? (int16_t)(uint8_t)DATA : (int16_t)-1;
}

void qhn_uart_write(uint8_t byte)
{
    while ((STATUS & MAY_WRITE) == 0u) {
    }
    DATA = byte;
}

uint32_t qhn_ticks(void)
{
    return 0u;
}

uint32_t qhn_ticks_per_second(void)
{
    return 0u;
}
