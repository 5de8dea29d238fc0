/* A pseudo-terminal as the board's serial port. */
#ifndef TERMINAL_H
#define TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { QUEUE_BYTES = 4096 };

typedef struct {
    uint8_t bytes[QUEUE_BYTES];
    size_t n;
} queue_t;

typedef struct {
    int master;
    bool is_open; /* somebody has the other side open */
    queue_t to_chip;
    queue_t to_host;
} terminal_t;

/* Append a byte; it is lost where the queue is full. */
void queue_put(queue_t *queue, uint8_t byte);

/* Take the first byte out of a queue that is not empty. */
uint8_t queue_take(queue_t *queue);

/* Make the pseudo-terminal. Returns its name, or NULL with errno set. */
const char *terminal_make(terminal_t *terminal);

/* Read and write what can be; wait for input at most wait_ms (0 or 1). Returns whether it was opened just now.
 * While nobody has it open, output is dropped, as on a port that nobody reads. */
bool terminal_exchange(terminal_t *terminal, int wait_ms);

#endif
