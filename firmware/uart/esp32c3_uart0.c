/* UART0 and the system timer of the ESP32-C3 (its technical reference manual, chapters "UART Controller", "System Timer"
 * and "Watchdog Timers"). The ROM has set up UART0 for its own messages: pins 21 and 20, 115200 baud. */
#include "qhn_board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define UART0_FIFO REGISTER(0x60000000u)
#define UART0_STATUS REGISTER(0x6000001cu)
#define N_RECEIVED(status) ((status) & 0x3ffu)
#define N_TO_SEND(status) (((status) >> 16) & 0x3ffu)
#define FIFO_BYTES 128u

#define RTC_WATCHDOG_CONFIG REGISTER(0x60008090u)
#define RTC_WATCHDOG_LOCK REGISTER(0x600080a8u)
#define SUPER_WATCHDOG_CONFIG REGISTER(0x600080acu)
#define SUPER_WATCHDOG_LOCK REGISTER(0x600080b0u)
#define TIMER_WATCHDOG_CONFIG REGISTER(0x6001f048u)
#define TIMER_WATCHDOG_LOCK REGISTER(0x6001f064u)
#define WATCHDOG_KEY 0x50d83aa1u
#define SUPER_WATCHDOG_KEY 0x8f1d312au
#define FEED_BY_ITSELF (UINT32_C(1) << 31)

#define SYSTEM_TIMER_UPDATE REGISTER(0x60023004u)
#define SYSTEM_TIMER_LOW REGISTER(0x60023044u)
#define UPDATE (UINT32_C(1) << 30)
#define VALID (UINT32_C(1) << 29)

#if QHN_BAUD != 115200UL
#error "the ROM sets 115200 baud"
#endif

void qhn_board_init(void)
{
    RTC_WATCHDOG_LOCK = WATCHDOG_KEY;
    RTC_WATCHDOG_CONFIG = 0u;
    TIMER_WATCHDOG_LOCK = WATCHDOG_KEY;
    TIMER_WATCHDOG_CONFIG = 0u;
    SUPER_WATCHDOG_LOCK = SUPER_WATCHDOG_KEY;
    SUPER_WATCHDOG_CONFIG |= FEED_BY_ITSELF;
}

int16_t qhn_uart_read(void)
{
    return (N_RECEIVED(UART0_STATUS) != 0u) ? (int16_t)(uint8_t)UART0_FIFO : (int16_t)-1;
}

void qhn_uart_write(uint8_t byte)
{
    while (N_TO_SEND(UART0_STATUS) >= FIFO_BYTES - 1u) {
    }
    UART0_FIFO = byte;
}

uint32_t qhn_ticks(void)
{
    SYSTEM_TIMER_UPDATE = UPDATE;
    while ((SYSTEM_TIMER_UPDATE & VALID) == 0u) {
    }
    return SYSTEM_TIMER_LOW;
}

uint32_t qhn_ticks_per_second(void)
{
    return 16000000u;
}
