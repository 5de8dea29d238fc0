/* any_call: calls the functions of a board's driver again and again, for Frama-C's EVA. The registers hold anything at any time: they are
 * volatile objects at addresses that -absolute-valid-range declares. */
#include "__fc_builtin.h"
#include "qhn_board.h"

static volatile uint32_t result;

int main(void)
{
    qhn_board_init();
    while (Frama_C_interval(0, 1) != 0) {
        const int16_t received = qhn_uart_read();

        /*@ assert a_byte_or_none: -1 <= received <= 255; */
        qhn_uart_write((uint8_t)received);
        result = qhn_ticks();
        result = qhn_ticks_per_second();
    }
    return 0;
}
