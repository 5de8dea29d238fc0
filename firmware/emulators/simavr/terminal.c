#define _XOPEN_SOURCE 600 /* posix_openpt, ptsname, nanosleep */

#include "terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

void queue_put(queue_t *queue, uint8_t byte)
{
    if (queue->n < QUEUE_BYTES) {
        queue->bytes[queue->n++] = byte;
    }
}

static void drop(queue_t *queue, size_t n)
{
    queue->n -= n;
    memmove(queue->bytes, queue->bytes + n, queue->n);
}

uint8_t queue_take(queue_t *queue)
{
    uint8_t byte = queue->bytes[0];
    drop(queue, 1);
    return byte;
}

/* Raw: no echo, no line ends changed, whatever the first program that opens it expects. */
static bool make_raw(const char *name)
{
    struct termios settings;
    int other_side = open(name, O_RDWR | O_NOCTTY);
    if (other_side < 0 || tcgetattr(other_side, &settings) != 0) {
        return false;
    }
    settings.c_iflag = 0;
    settings.c_oflag = 0;
    settings.c_lflag = 0;
    settings.c_cflag |= CS8 | CREAD | CLOCAL;
    bool is_raw = tcsetattr(other_side, TCSANOW, &settings) == 0;
    /* Closed again: poll reports a terminal as closed only after it was open once. */
    return close(other_side) == 0 && is_raw;
}

const char *terminal_make(terminal_t *terminal)
{
    terminal->master = posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal->master < 0 || grantpt(terminal->master) != 0 || unlockpt(terminal->master) != 0) {
        return NULL;
    }
    const char *name = ptsname(terminal->master);
    if (name == NULL || !make_raw(name) || fcntl(terminal->master, F_SETFL, O_NONBLOCK) != 0) {
        return NULL;
    }
    return name;
}

static void receive(terminal_t *terminal)
{
    queue_t *queue = &terminal->to_chip;
    ssize_t n = read(terminal->master, queue->bytes + queue->n, QUEUE_BYTES - queue->n);
    queue->n += n > 0 ? (size_t)n : 0;
}

static void send(terminal_t *terminal)
{
    ssize_t n = write(terminal->master, terminal->to_host.bytes, terminal->to_host.n);
    drop(&terminal->to_host, n > 0 ? (size_t)n : 0);
}

bool terminal_exchange(terminal_t *terminal, int wait_ms)
{
    const struct timespec nap = {0, 1000000L};
    struct pollfd watched = {terminal->master, 0, 0};
    watched.events = (short)((terminal->to_chip.n < QUEUE_BYTES ? POLLIN : 0) | (terminal->to_host.n ? POLLOUT : 0));
    (void)poll(&watched, 1, wait_ms);
    bool was_open = terminal->is_open;
    terminal->is_open = (watched.revents & POLLHUP) == 0;
    if (watched.revents & POLLIN) {
        receive(terminal);
    } else if (!terminal->is_open && wait_ms > 0) {
        (void)nanosleep(&nap, NULL); /* poll does not wait for a terminal that nobody has open */
    }
    if (!terminal->is_open) {
        terminal->to_host.n = 0;
    } else if (watched.revents & POLLOUT) {
        send(terminal);
    }
    return terminal->is_open && !was_open;
}
