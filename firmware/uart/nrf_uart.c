/* UART and TIMER0 of the nRF51 and nRF52 (product specifications of the nRF51822, nRF52833 and nRF52840: "UART",
 * "TIMER", "CLOCK"). The board's file gives the pins: QHN_PIN_TX and QHN_PIN_RX, as port * 32 + pin. */
#include "qhn_board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define CLOCK_START REGISTER(0x40000000u)   /* TASKS_HFCLKSTART */
#define CLOCK_STARTED REGISTER(0x40000100u) /* EVENTS_HFCLKSTARTED */

#define UART 0x40002000u
#define UART_START_RX REGISTER(UART + 0x000u)
#define UART_START_TX REGISTER(UART + 0x008u)
#define UART_RECEIVED REGISTER(UART + 0x108u) /* EVENTS_RXDRDY */
#define UART_SENT REGISTER(UART + 0x11cu)     /* EVENTS_TXDRDY */
#define UART_ENABLE REGISTER(UART + 0x500u)
#define UART_PIN_TX REGISTER(UART + 0x50cu)
#define UART_PIN_RX REGISTER(UART + 0x514u)
#define UART_RXD REGISTER(UART + 0x518u)
#define UART_TXD REGISTER(UART + 0x51cu)
#define UART_BAUD_RATE REGISTER(UART + 0x524u)
#define ENABLED 4u
#define BAUD_115200 0x01d7e000u

#define TIMER 0x40008000u
#define TIMER_START REGISTER(TIMER + 0x000u)
#define TIMER_CAPTURE REGISTER(TIMER + 0x040u)
#define TIMER_BIT_MODE REGISTER(TIMER + 0x508u)
#define TIMER_PRESCALER REGISTER(TIMER + 0x510u)
#define TIMER_CAPTURED REGISTER(TIMER + 0x540u)
#define BITS_32 3u
#define TIMER_HZ 16000000u

/* The output of the TX pin is set by hand before the UART takes it over, so that the line idles high. */
#define GPIO(pin) (((pin) < 32u) ? 0x50000000u : 0x50000300u)
#define GPIO_SET(pin) REGISTER(GPIO(pin) + 0x508u)
#define GPIO_OUTPUT(pin) REGISTER(GPIO(pin) + 0x518u)
#define PIN_BIT(pin) (UINT32_C(1) << ((pin) % 32u))

#if QHN_BAUD != 115200UL
#error "this driver knows 115200 baud only"
#endif

void qhn_board_init(void)
{
    CLOCK_STARTED = 0u;
    CLOCK_START = 1u; /* the crystal: the internal oscillator is too inexact for a UART */
    while (CLOCK_STARTED == 0u) {
    }
    GPIO_SET(QHN_PIN_TX) = PIN_BIT(QHN_PIN_TX);
    GPIO_OUTPUT(QHN_PIN_TX) = PIN_BIT(QHN_PIN_TX);
    UART_PIN_TX = QHN_PIN_TX;
    UART_PIN_RX = QHN_PIN_RX;
    UART_BAUD_RATE = BAUD_115200;
    UART_ENABLE = ENABLED;
    UART_START_RX = 1u;
    UART_START_TX = 1u;
    TIMER_BIT_MODE = BITS_32;
    TIMER_PRESCALER = 0u;
    TIMER_START = 1u;
}

int16_t qhn_uart_read(void)
{
    int16_t received = -1;

    if (UART_RECEIVED != 0u) {
        UART_RECEIVED = 0u; /* before the byte is taken: the next one may follow at once */
        received = (int16_t)(uint8_t)UART_RXD;
    }
    return received;
}

void qhn_uart_write(uint8_t byte)
{
    UART_SENT = 0u;
    UART_TXD = byte;
    while (UART_SENT == 0u) {
    }
}

uint32_t qhn_ticks(void)
{
    TIMER_CAPTURE = 1u;
    return TIMER_CAPTURED;
}

uint32_t qhn_ticks_per_second(void)
{
    return TIMER_HZ;
}
