/* UART of Arm's Cortex-M System Design Kit, as on the MPS2 boards (application notes AN385, AN386, AN500, AN505). The
 * board's file gives its address, QHN_UART. */
#include "qhn_board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define UART_DATA REGISTER(QHN_UART + 0x00u)
#define UART_STATE REGISTER(QHN_UART + 0x04u)
#define UART_CTRL REGISTER(QHN_UART + 0x08u)
#define UART_BAUDDIV REGISTER(QHN_UART + 0x10u)
#define FULL 1u       /* state: the transmitter holds a byte */
#define BYTE_WAITS 2u /* state */
#define ENABLE 3u     /* control: both directions */

void qhn_board_init(void)
{
    UART_BAUDDIV = ((uint32_t)QHN_CLOCK_HZ + ((uint32_t)QHN_BAUD / 2u)) / (uint32_t)QHN_BAUD;
    UART_CTRL = ENABLE;
}

int16_t qhn_uart_read(void)
{
    return ((UART_STATE & BYTE_WAITS) != 0u) ? (int16_t)(uint8_t)UART_DATA : (int16_t)-1;
}

void qhn_uart_write(uint8_t byte)
{
    while ((UART_STATE & FULL) != 0u) {
    }
    UART_DATA = byte;
}

uint32_t qhn_ticks(void)
{
    return 0u;
}

uint32_t qhn_ticks_per_second(void)
{
    return 0u;
}
