/* qhn_board: what the program needs of a board. One file in firmware/uart/ a chip family defines these.
 *
 * Nothing here uses interrupts or a heap. The functions are called from main() only.
 */
#ifndef QHN_BOARD_H
#define QHN_BOARD_H

#include <stdint.h>

/* Starts the clock and the UART: 115200 baud, 8 data bits, no parity, 1 stop bit. Called once, first. */
void qhn_board_init(void);

/* Returns the next received byte, 0 to 255, or -1 when there is none; never blocks. */
int16_t qhn_uart_read(void);

/* Sends a byte; blocks until the UART accepts it. */
void qhn_uart_write(uint8_t byte);

/* Returns a free-running counter that wraps modulo 2^32, for latencies; always 0 where the chip has none. */
uint32_t qhn_ticks(void);

/* Returns how often that counter rises in a second; 0 where there is none. */
uint32_t qhn_ticks_per_second(void);

#endif
