/* USART0 and timer 1 of the ATmega48..328 and 640..2561 (the same addresses in all of them). */
#include "qhn_board.h"

#define REGISTER(address) (*(volatile uint8_t *)(address))
#define TIFR1 REGISTER(0x36u)
#define TCCR1B REGISTER(0x81u)
#define TCNT1L REGISTER(0x84u) /* reading it holds TCNT1H for the next read */
#define TCNT1H REGISTER(0x85u)
#define UCSR0A REGISTER(0xc0u)
#define UCSR0B REGISTER(0xc1u)
#define UCSR0C REGISTER(0xc2u)
#define UBRR0L REGISTER(0xc4u)
#define UBRR0H REGISTER(0xc5u)
#define UDR0 REGISTER(0xc6u)

#define OVERFLOWED 0x01u    /* TIFR1, TOV1 */
#define CLOCK_BY_256 0x04u  /* TCCR1B */
#define BYTE_WAITS 0x80u    /* UCSR0A, RXC0 */
#define MAY_WRITE 0x20u     /* UCSR0A, UDRE0 */
#define DOUBLE_SPEED 0x02u  /* UCSR0A, U2X0 */
#define ENABLE 0x18u        /* UCSR0B, RXEN0 and TXEN0 */
#define EIGHT_BITS 0x06u    /* UCSR0C: 8N1 */

#define DIVISOR ((QHN_CLOCK_HZ + 4u * QHN_BAUD) / (8u * QHN_BAUD) - 1u)

void qhn_board_init(void)
{
    UBRR0H = (uint8_t)(DIVISOR / 256u);
    UBRR0L = (uint8_t)(DIVISOR % 256u);
    UCSR0A = DOUBLE_SPEED;
    UCSR0C = EIGHT_BITS;
    UCSR0B = ENABLE;
    TCCR1B = CLOCK_BY_256;
}

int16_t qhn_uart_read(void)
{
    return ((UCSR0A & BYTE_WAITS) != 0u) ? (int16_t)UDR0 : (int16_t)-1;
}

void qhn_uart_write(uint8_t byte)
{
    while ((UCSR0A & MAY_WRITE) == 0u) {
    }
    UDR0 = byte;
}

/* The timer turns over after 65,536 * 256 cycles (1 s at 16 MHz). One turn between two calls is noticed; an inference
 * takes less. */
uint32_t qhn_ticks(void)
{
    static uint16_t turns; /* of the timer */
    const uint8_t overflowed = TIFR1 & OVERFLOWED;
    uint16_t low = TCNT1L;

    low |= (uint16_t)((uint16_t)TCNT1H << 8);
    if (overflowed != 0u || (TIFR1 & OVERFLOWED) != 0u) {
        TIFR1 = OVERFLOWED; /* writing a one clears it */
        turns++;
        low = TCNT1L;
        low |= (uint16_t)((uint16_t)TCNT1H << 8);
    }
    return ((uint32_t)turns << 16) | low;
}

uint32_t qhn_ticks_per_second(void)
{
    return QHN_CLOCK_HZ / 256u;
}
