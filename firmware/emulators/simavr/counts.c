#include "counts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool counts_add(counts_t *counts, char *text)
{
    char *sign = strchr(text, '=');
    char *end = NULL;
    if (sign == NULL || counts->n == MAX_COUNTED) {
        return false;
    }
    counts->functions[counts->n].address = (uint32_t)strtoul(sign + 1, &end, 0);
    if (end == sign + 1 || *end != '\0') {
        return false;
    }
    *sign = '\0';
    counts->functions[counts->n++].name = text;
    return true;
}

static uint16_t stack_pointer(const avr_t *avr)
{
    return (uint16_t)(avr->data[R_SPL] | (avr->data[R_SPH] << 8));
}

/* The return address that a call has just pushed, in bytes: most significant byte at the lowest address. */
static uint32_t pushed_address(const avr_t *avr)
{
    uint32_t words = 0;
    for (unsigned i = 1; i <= avr->address_size; i++) {
        words = (words << 8) | avr->data[(stack_pointer(avr) + i) & 0xFFFFU];
    }
    return words * 2U;
}

static void enter(counted_t *function, const avr_t *avr)
{
    function->running = true;
    function->return_address = pushed_address(avr);
    function->entry_sp = function->lowest_sp = stack_pointer(avr);
    function->entry_cycle = avr->cycle;
}

static void leave(counted_t *function, const avr_t *avr)
{
    unsigned depth = (unsigned)(function->entry_sp - function->lowest_sp) + avr->address_size;
    function->running = false;
    fprintf(stderr, "count %s cycles=%llu stack_bytes=%u\n", function->name,
            (unsigned long long)(avr->cycle - function->entry_cycle), depth);
}

/* Between `out SPH` and `out SPL`, where a stack frame is made, the stack pointer is neither old nor new. */
static void note_stack_write(counts_t *counts, const uint8_t *code)
{
    unsigned opcode = code[0] | ((unsigned)code[1] << 8);
    if ((opcode & 0xFE0FU) == 0xBE0EU) {
        counts->sp_is_half_written = true;
    } else if ((opcode & 0xFE0FU) == 0xBE0DU) {
        counts->sp_is_half_written = false;
    }
}

void counts_step(counts_t *counts, const avr_t *avr, uint32_t executed_pc)
{
    uint16_t sp = stack_pointer(avr);
    note_stack_write(counts, avr->flash + executed_pc);
    for (size_t i = 0; i < counts->n; i++) {
        counted_t *function = &counts->functions[i];
        if (!function->running) {
            if (avr->pc == function->address) {
                enter(function, avr);
            }
        } else if (avr->pc == function->return_address && sp == function->entry_sp + avr->address_size) {
            leave(function, avr);
        } else if (sp < function->lowest_sp && !counts->sp_is_half_written) {
            function->lowest_sp = sp;
        }
    }
}

void counts_forget(counts_t *counts)
{
    for (size_t i = 0; i < counts->n; i++) {
        counts->functions[i].running = false;
    }
}
