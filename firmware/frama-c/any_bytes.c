/* any_bytes: a board that receives any byte, or none, at any time, for Frama-C's EVA.
 *
 * Together with app/main.c, the protocol server, a model and its adapter it is a whole firmware image: EVA proves that
 * no stream of bytes, of any length, makes it do anything undefined.
 */
#include "__fc_builtin.h"
#include "qhn_board.h"

static volatile uint8_t sent;

void qhn_board_init(void)
{
}

int16_t qhn_uart_read(void)
{
    return (int16_t)Frama_C_interval(-1, 255);
}

void qhn_uart_write(uint8_t byte)
{
    sent = byte;
}

uint32_t qhn_ticks(void)
{
    return Frama_C_unsigned_long_interval(0ul, 0xfffffffful);
}

uint32_t qhn_ticks_per_second(void)
{
    return Frama_C_unsigned_long_interval(0ul, 0xfffffffful);
}
