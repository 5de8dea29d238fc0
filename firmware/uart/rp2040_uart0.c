/* UART0 on GPIO 0 (TX) and 1 (RX), and the timer, of the RP2040 (RP2040 datasheet, sections 2.14 to 2.19, 4.2 and
 * 4.6). The clock is the crystal of 12 MHz. */
#include "qhn_board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define CLEAR_BITS 0x3000u /* a write to a register's address plus this clears the bits written */

#define RESETS 0x4000c000u
#define RESETS_CLEAR REGISTER(RESETS + CLEAR_BITS)
#define RESETS_DONE REGISTER(RESETS + 0x8u)
#define PERIPHERALS ((UINT32_C(1) << 5) | (UINT32_C(1) << 8) | (UINT32_C(1) << 22)) /* bank 0, its pads, UART0 */
#define TIMER_PERIPHERAL (UINT32_C(1) << 21)

#define XOSC 0x40024000u
#define XOSC_CTRL REGISTER(XOSC + 0x00u)
#define XOSC_STATUS REGISTER(XOSC + 0x04u)
#define XOSC_STARTUP REGISTER(XOSC + 0x0cu)
#define XOSC_ENABLE 0x00fabaa0u        /* 1 to 15 MHz */
#define XOSC_STARTUP_1_MS 47u          /* in units of 256 periods */
#define XOSC_STABLE (UINT32_C(1) << 31)

#define CLOCKS 0x40008000u
#define CLOCK_REFERENCE REGISTER(CLOCKS + 0x30u)
#define CLOCK_REFERENCE_SELECTED REGISTER(CLOCKS + 0x38u)
#define CLOCK_PERIPHERALS REGISTER(CLOCKS + 0x48u)
#define FROM_XOSC 2u
#define XOSC_SELECTED (UINT32_C(1) << FROM_XOSC)
#define FROM_SYSTEM_CLOCK (UINT32_C(1) << 11)

#define WATCHDOG_TICK REGISTER(0x4005802cu)
#define TICK_EVERY_US (0x200u | 12u) /* the timer counts these: one each 12 periods */
#define TIMER_LOW REGISTER(0x40054028u)

#define PIN_0_FUNCTION REGISTER(0x40014004u)
#define PIN_1_FUNCTION REGISTER(0x4001400cu)
#define FUNCTION_UART 2u

#define UART0 0x40034000u
#define UART0_DATA REGISTER(UART0 + 0x00u)
#define UART0_FLAGS REGISTER(UART0 + 0x18u)
#define UART0_DIVISOR REGISTER(UART0 + 0x24u)
#define UART0_FRACTION REGISTER(UART0 + 0x28u)
#define UART0_LINE REGISTER(UART0 + 0x2cu)
#define UART0_CONTROL REGISTER(UART0 + 0x30u)
#define NO_BYTE_WAITS (UINT32_C(1) << 4) /* flags, RXFE */
#define FULL (UINT32_C(1) << 5)          /* flags, TXFF */
#define EIGHT_BITS_FIFO 0x70u
#define ENABLE 0x301u

#define BAUD ((uint32_t)QHN_BAUD)
#define DIVISOR_64 (((4u * (uint32_t)QHN_CLOCK_HZ) + (BAUD / 2u)) / BAUD) /* of clock / 16, in 1/64 */

void qhn_board_init(void)
{
    XOSC_STARTUP = XOSC_STARTUP_1_MS;
    XOSC_CTRL = XOSC_ENABLE;
    while ((XOSC_STATUS & XOSC_STABLE) == 0u) {
    }
    CLOCK_REFERENCE = FROM_XOSC; /* the system clock is the reference clock after reset */
    while ((CLOCK_REFERENCE_SELECTED & XOSC_SELECTED) == 0u) {
    }
    CLOCK_PERIPHERALS = FROM_SYSTEM_CLOCK;
    WATCHDOG_TICK = TICK_EVERY_US;

    RESETS_CLEAR = PERIPHERALS | TIMER_PERIPHERAL;
    while ((RESETS_DONE & PERIPHERALS) != PERIPHERALS) {
    }
    PIN_0_FUNCTION = FUNCTION_UART;
    PIN_1_FUNCTION = FUNCTION_UART;
    UART0_DIVISOR = DIVISOR_64 / 64u;
    UART0_FRACTION = DIVISOR_64 % 64u;
    UART0_LINE = EIGHT_BITS_FIFO; /* after the divisor, which it puts into force */
    UART0_CONTROL = ENABLE;
}

int16_t qhn_uart_read(void)
{
    return ((UART0_FLAGS & NO_BYTE_WAITS) == 0u) ? (int16_t)(uint8_t)UART0_DATA : (int16_t)-1;
}

void qhn_uart_write(uint8_t byte)
{
    while ((UART0_FLAGS & FULL) != 0u) {
    }
    UART0_DATA = byte;
}

uint32_t qhn_ticks(void)
{
    return TIMER_LOW;
}

uint32_t qhn_ticks_per_second(void)
{
    return 1000000u;
}
