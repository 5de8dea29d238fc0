/* An AVR board emulated by libsimavr: chip, boot loader, and its first UART on a pseudo-terminal.
 *
 *   cc -std=c99 -O2 -o simavr_board *.c -lsimavr        (Debian: libsimavr-dev)
 *   simavr_board -m atmega328p -f 16000000 [options] [firmware.hex]
 *
 *   -m MCU         chip, as simavr calls it
 *   -f HZ          its clock
 *   -b LOADER.hex  boot loader; the chip is then held in reset until somebody opens the terminal, and each
 *                  opening resets it, as the DTR line does on Arduino boards
 *   -s ADDRESS     where a reset starts (bytes); with -b the lowest address of the boot loader, else 0
 *   -w NAME=ADDR   count each call of the function at ADDR (bytes; repeatable, at most 32)
 *   -o             lose bytes that arrive while two are unread, as the chip does; else they wait
 *   -p PID         the process that starts it: without it, one that is gone by the time this one reads its number
 *                  goes unnoticed
 *   -t SECONDS     end after this time
 *
 * Images are Intel HEX: simavr's own ELF reader skips sections that it does not know.
 *
 * Standard output: one line, `pty /dev/pts/N`, when the terminal can be opened.
 * Standard error, one line each:
 *   count NAME cycles=C stack_bytes=S   after each call of a function named with -w: cycles from its first
 *                                       instruction to its return, and the deepest stack, return address included
 *   count gpior0 cycles=C               the firmware wrote 2 to GPIOR0: cycles since it wrote 1
 *   crash pc=ADDRESS                    the program left its code; without -b the emulator ends with status 3
 * Wrong options or files: one line, status 2.
 *
 * Cycles are those of the emulated chip and the same on every run. Emulated time runs as fast as the host allows
 * while the firmware computes, and no faster than real time while it polls an idle UART, so that a boot loader's
 * time-out means what it says. The emulator ends with the process that started it.
 */
#define _XOPEN_SOURCE 600 /* getopt, clock_gettime */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <simavr/avr_uart.h>
#include <simavr/sim_avr.h>
#include <simavr/sim_io.h>
#include <simavr/sim_irq.h>

#include "counts.h"
#include "intel_hex.h"
#include "terminal.h"

enum {
    GPIOR0 = 0x3E, /* data address on ATmega48..328 and ATmega640..2561 */
    CHIP_FIFO_BYTES = 2,
    IDLE_POLLS = 50, /* so often in 1 ms the firmware looked for a byte in vain: it waits for input */
    STATUS_USAGE = 2,
    STATUS_CRASH = 3
};

typedef struct {
    avr_t *avr;
    avr_uart_t *uart;
    terminal_t terminal;
    counts_t counts;
    bool is_held; /* in reset, or crashed, until the terminal is opened */
    bool has_loader;
    bool overruns;
    uint64_t next_byte_cycle;
    uint64_t mark_cycle;
    uint32_t n_idle_polls; /* since the slice began or a byte went either way */
} board_t;

typedef struct {
    const char *mcu;
    const char *loader;
    const char *firmware;
    uint32_t frequency;
    long start; /* -1: not given */
    pid_t parent;
    double limit_s;
} options_t;

static void fail(const char *what, const char *about)
{
    fprintf(stderr, "simavr_board: error: %s %s\n", what, about);
    exit(STATUS_USAGE);
}

/* ---- what simavr calls ---- */

static void on_mark(struct avr_t *avr, avr_io_addr_t address, uint8_t value, void *param)
{
    board_t *board = param;
    avr->data[address] = value;
    if (value == 1) {
        board->mark_cycle = avr->cycle;
    } else if (value == 2) {
        fprintf(stderr, "count gpior0 cycles=%llu\n", (unsigned long long)(avr->cycle - board->mark_cycle));
    }
}

static void on_output(struct avr_irq_t *irq, uint32_t value, void *param)
{
    board_t *board = param;
    (void)irq;
    board->n_idle_polls = 0;
    if (board->terminal.is_open) {
        queue_put(&board->terminal.to_host, (uint8_t)value);
    }
}

/* XON is raised whenever the firmware reads the status of an empty receiver. */
static void on_empty(struct avr_irq_t *irq, uint32_t value, void *param)
{
    board_t *board = param;
    (void)irq;
    board->n_idle_polls += value;
}

static void on_sleep(struct avr_t *avr, avr_cycle_count_t cycles)
{
    (void)avr; /* the main loop keeps the pace: a sleeping chip is idle */
    (void)cycles;
}

static void on_message(struct avr_t *avr, const int level, const char *format, va_list arguments)
{
    (void)avr; /* simavr's errors are told by crash() and fail(), in one line */
    (void)level;
    (void)format;
    (void)arguments;
}

/* ---- one millisecond of the chip ---- */

/* The cycle counter starts again at 0 with each reset, also with one of the watchdog. */
static void forget_cycles(board_t *board)
{
    board->next_byte_cycle = 0;
    counts_forget(&board->counts);
}

static void reset(board_t *board)
{
    avr_reset(board->avr);
    (void)avr_regbit_set(board->avr, board->avr->reset_flags.extrf); /* boot loaders ask who reset the chip */
    board->is_held = false;
    forget_cycles(board);
}

/* Hand the next byte to the receiver, one in the time that a byte takes on the line. */
static void feed(board_t *board)
{
    const uart_fifo_t *fifo = &board->uart->input;
    unsigned n_unread = (unsigned)(fifo->write - fifo->read) & (unsigned)(uart_fifo_fifo_size - 1);
    bool has_room = n_unread < CHIP_FIFO_BYTES;
    if (!avr_regbit_get(board->avr, board->uart->rxen) || (!has_room && !board->overruns)) {
        return;
    }
    uint8_t byte = queue_take(&board->terminal.to_chip);
    board->next_byte_cycle = board->avr->cycle + board->uart->cycles_per_byte;
    board->n_idle_polls = 0;
    if (has_room) {
        avr_raise_irq(board->uart->io.irq + UART_IRQ_INPUT, byte);
    }
}

static void crash(board_t *board)
{
    fprintf(stderr, "crash pc=0x%x\n", (unsigned)board->avr->pc);
    if (!board->has_loader) {
        exit(STATUS_CRASH);
    }
    board->is_held = true;
}

static void run_slice(board_t *board)
{
    avr_t *avr = board->avr;
    uint64_t end = avr->cycle + avr->frequency / 1000U;
    board->n_idle_polls = 0;
    while (avr->cycle < end && !board->is_held) {
        uint64_t cycle = avr->cycle;
        uint32_t pc = avr->pc;
        int state = avr_run(avr);
        if (avr->cycle < cycle) {
            forget_cycles(board);
            return;
        }
        if (state == cpu_Crashed || state == cpu_Done) {
            crash(board);
        } else if (board->counts.n > 0) {
            counts_step(&board->counts, avr, pc);
        }
        if (board->terminal.to_chip.n > 0 && avr->cycle >= board->next_byte_cycle) {
            feed(board);
        }
    }
}

/* ---- making the board ---- */

static uint32_t load(avr_t *avr, const char *file)
{
    const char *problem = NULL;
    uint32_t lowest = intel_hex_load(file, avr->flash, avr->flashend + 1U, &problem);
    if (problem != NULL) {
        fail(problem, file);
    }
    return lowest;
}

static void connect_uart(board_t *board)
{
    avr_t *avr = board->avr;
    uint32_t no_flags = 0; /* no copy of the output on stdout, no sleeping between polls */
    avr_io_t *io = avr->io_port;
    while (io != NULL && io->irq_ioctl_get != (uint32_t)AVR_IOCTL_UART_GETIRQ('0')) {
        io = io->next;
    }
    if (io == NULL) {
        fail("the chip has no UART:", avr->mmcu);
    }
    (void)avr_ioctl(avr, (uint32_t)AVR_IOCTL_UART_SET_FLAGS('0'), &no_flags);
    avr_irq_register_notify(io->irq + UART_IRQ_OUTPUT, on_output, board);
    avr_irq_register_notify(io->irq + UART_IRQ_OUT_XON, on_empty, board);
    board->uart = (avr_uart_t *)io;
}

static void make_board(board_t *board, const options_t *options)
{
    avr_t *avr = avr_make_mcu_by_name(options->mcu);
    if (avr == NULL) {
        fail("simavr does not know the chip", options->mcu);
    }
    board->avr = avr;
    avr_init(avr);
    avr->frequency = options->frequency;
    avr->sleep = on_sleep;
    avr->codeend = avr->flashend;
    if (options->firmware != NULL) {
        (void)load(avr, options->firmware);
    }
    if (options->loader != NULL) {
        avr->reset_pc = load(avr, options->loader);
        board->has_loader = board->is_held = true;
    }
    if (options->start >= 0) {
        avr->reset_pc = (uint32_t)options->start;
    }
    avr->pc = avr->reset_pc;
    connect_uart(board);
    avr_register_io_write(avr, GPIOR0, on_mark, board);
}

static void read_options(int argc, char **argv, options_t *options, board_t *board)
{
    int letter;
    while ((letter = getopt(argc, argv, "m:f:b:s:w:op:t:")) != -1) {
        if (letter == 'm') {
            options->mcu = optarg;
        } else if (letter == 'f') {
            options->frequency = (uint32_t)strtoul(optarg, NULL, 0);
        } else if (letter == 'p') {
            options->parent = (pid_t)strtol(optarg, NULL, 10);
        } else if (letter == 'b') {
            options->loader = optarg;
        } else if (letter == 's') {
            options->start = strtol(optarg, NULL, 0);
        } else if (letter == 'w' && !counts_add(&board->counts, optarg)) {
            fail("-w takes NAME=ADDRESS, at most 32 times:", optarg);
        } else if (letter == 'o') {
            board->overruns = true;
        } else if (letter == 't') {
            options->limit_s = strtod(optarg, NULL);
        } else if (letter == '?') {
            exit(STATUS_USAGE); /* getopt has said it */
        }
    }
    options->firmware = optind < argc ? argv[optind] : NULL;
    if (options->mcu == NULL || options->frequency < 1000 || (!options->firmware && !options->loader)) {
        fail("needed:", "-m MCU -f HZ, and a firmware file or -b LOADER");
    }
}

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void run(board_t *board, pid_t parent, double end_s)
{
    while (getppid() == parent && (end_s <= 0 || now_s() < end_s)) {
        run_slice(board);
        bool waits = board->is_held || board->n_idle_polls >= IDLE_POLLS || board->avr->state == cpu_Sleeping;
        bool was_opened = terminal_exchange(&board->terminal, waits && board->terminal.to_chip.n == 0 ? 1 : 0);
        if (was_opened && board->has_loader) {
            reset(board);
        }
    }
}

int main(int argc, char **argv)
{
    static board_t board;
    options_t options = {.start = -1};
    avr_global_logger_set(on_message);
    read_options(argc, argv, &options, &board);
    const pid_t parent = options.parent != 0 ? options.parent : getppid();
    make_board(&board, &options);
    const char *name = terminal_make(&board.terminal);
    if (name == NULL) {
        fail("no pseudo-terminal:", strerror(errno));
    }
    printf("pty %s\n", name);
    fflush(stdout);
    run(&board, parent, options.limit_s > 0 ? now_s() + options.limit_s : 0);
    return 0;
}
