/* A board that is a process: its UART is standard input and output, and it ends with its input.
 *
 * Where descriptor 3 is given as an argument, it tells there how many bytes it has taken, each time that it has
 * answered all it got: whoever waits then knows that nothing more will come, without waiting for it. */
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "qhn_board.h"
#include "qhn_server.h"

static int idle = -1;
static uint64_t n_taken = 0u;
static uint8_t sent[4096];
static size_t n_sent = 0u;

static void put(int file, const void *bytes, size_t n)
{
    const uint8_t *next = bytes;

    while (n > 0u) {
        const ssize_t done = write(file, next, n);

        if (done <= 0) {
            exit(0);
        }
        next += done;
        n -= (size_t)done;
    }
}

static void flush(void)
{
    put(1, sent, n_sent);
    n_sent = 0u;
}

void qhn_board_init(void)
{
}

int16_t qhn_uart_read(void)
{
    static uint8_t received[4096];
    static ssize_t n_received = 0;
    static ssize_t next = 0;

    if (next == n_received) {
        flush(); /* whoever waits for an answer gets it before more is awaited */
        if (idle >= 0) {
            put(idle, &n_taken, sizeof n_taken);
        }
        next = 0;
        n_received = read(0, received, sizeof received);
        if (n_received <= 0) {
            exit(0);
        }
        n_taken += (uint64_t)n_received;
    }
    return received[next++];
}

void qhn_uart_write(uint8_t byte)
{
    if (n_sent == sizeof sent) {
        flush();
    }
    sent[n_sent++] = byte;
}

uint32_t qhn_ticks(void)
{
    static uint32_t ticks = UINT32_MAX - 1000u; /* wraps soon */

    ticks += 7u;
    return ticks;
}

uint32_t qhn_ticks_per_second(void)
{
    return 7000000u;
}

int main(int argc, char **argv)
{
    idle = (argc > 1) ? atoi(argv[1]) : -1;
    qhn_board_init();
    qhn_serve();
    return 0;
}
