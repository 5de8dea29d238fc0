/* USART2 on PA2 (TX) and PA3 (RX), and TIM2, of the STM32F4 (reference manuals RM0090 and RM0390). The clock stays the
 * internal oscillator of 16 MHz that the chip starts with. */
#include "qhn_board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define RCC 0x40023800u
#define RCC_AHB1ENR REGISTER(RCC + 0x30u)
#define RCC_APB1ENR REGISTER(RCC + 0x40u)
#define GPIOA_CLOCK (UINT32_C(1) << 0)
#define TIM2_CLOCK (UINT32_C(1) << 0)
#define USART2_CLOCK (UINT32_C(1) << 17)

#define GPIOA 0x40020000u
#define GPIOA_MODER REGISTER(GPIOA + 0x00u)
#define GPIOA_AFRL REGISTER(GPIOA + 0x20u)
#define PINS_2_3_MODE (UINT32_C(0xf) << 4)
#define PINS_2_3_ALTERNATE (UINT32_C(0xa) << 4)
#define PINS_2_3_FUNCTION (UINT32_C(0xff) << 8)
#define PINS_2_3_USART2 (UINT32_C(0x77) << 8)

#define USART2 0x40004400u
#define USART2_SR REGISTER(USART2 + 0x00u)
#define USART2_DR REGISTER(USART2 + 0x04u)
#define USART2_BRR REGISTER(USART2 + 0x08u)
#define USART2_CR1 REGISTER(USART2 + 0x0cu)
#define BYTE_WAITS (UINT32_C(1) << 5)  /* SR, RXNE */
#define MAY_WRITE (UINT32_C(1) << 7)   /* SR, TXE */
#define ENABLE ((UINT32_C(1) << 13) | (UINT32_C(1) << 3) | (UINT32_C(1) << 2)) /* CR1: UE, TE, RE */

#define TIM2 0x40000000u
#define TIM2_CR1 REGISTER(TIM2 + 0x00u)
#define TIM2_CNT REGISTER(TIM2 + 0x24u)
#define COUNT 1u

void qhn_board_init(void)
{
    RCC_AHB1ENR |= GPIOA_CLOCK;
    RCC_APB1ENR |= USART2_CLOCK | TIM2_CLOCK;
    (void)RCC_APB1ENR; /* a clock needs two cycles before its peripheral answers; a read takes them */
    GPIOA_AFRL = (GPIOA_AFRL & ~PINS_2_3_FUNCTION) | PINS_2_3_USART2;
    GPIOA_MODER = (GPIOA_MODER & ~PINS_2_3_MODE) | PINS_2_3_ALTERNATE;
    USART2_BRR = ((uint32_t)QHN_CLOCK_HZ + ((uint32_t)QHN_BAUD / 2u)) / (uint32_t)QHN_BAUD;
    USART2_CR1 = ENABLE;
    TIM2_CR1 = COUNT;
}

int16_t qhn_uart_read(void)
{
    return ((USART2_SR & BYTE_WAITS) != 0u) ? (int16_t)(uint8_t)USART2_DR : (int16_t)-1;
}

void qhn_uart_write(uint8_t byte)
{
    while ((USART2_SR & MAY_WRITE) == 0u) {
    }
    USART2_DR = byte;
}

uint32_t qhn_ticks(void)
{
    return TIM2_CNT;
}

uint32_t qhn_ticks_per_second(void)
{
    return (uint32_t)QHN_CLOCK_HZ;
}
