/* Cycles and stack of each call of chosen functions, without a change of the firmware. */
#ifndef COUNTS_H
#define COUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <simavr/sim_avr.h>

enum { MAX_COUNTED = 32 };

typedef struct {
    const char *name;
    uint32_t address; /* bytes */
    bool running;
    uint32_t return_address;
    uint16_t entry_sp; /* the return address is on the stack already */
    uint16_t lowest_sp;
    uint64_t entry_cycle;
} counted_t;

typedef struct {
    counted_t functions[MAX_COUNTED];
    size_t n;
    bool sp_is_half_written;
} counts_t;

/* Add a function given as NAME=ADDRESS; the text is kept and changed. False where it cannot be read. */
bool counts_add(counts_t *counts, char *text);

/* To be called after each instruction; executed_pc is where that instruction lies. Prints finished calls. */
void counts_step(counts_t *counts, const avr_t *avr, uint32_t executed_pc);

/* Give up all calls that have not returned: the chip was reset. */
void counts_forget(counts_t *counts);

#endif
