/* tiny-2 on a host: reads input vectors from stdin, writes labels and logits to stdout.
 *
 * Input: one vector a line, 34 integers (each -1 or 1) separated by blanks or commas; empty lines are
 * skipped. Output: one line a vector: the class index, then the logits. Exit status: 0; 1 when the output
 * cannot be written; 2 when the input is wrong, with the line number on stderr.
 *
 * A build with TINY_2_TRACE defined writes, before each result, lines "trace LAYER a ACCUMULATOR ..."
 * and, after a relu or a table, "trace LAYER y OUTPUT ...".
 */
#include <stdint.h>
#include <stdio.h>

#include "tiny_2.h"
#include "qhn_binn.h"

/* Larger than any value that a feature can have, and far from the limits of long. */
#define MAGNITUDE_LIMIT 100000L

static unsigned long line = 1ul;
static uint8_t bits[TINY_2_N_FEATURES];
static uint32_t input[TINY_2_INPUT_WORDS];

/* Stores the value of one feature; returns 0 when it is out of range. */
static int store(uint32_t feature, long value)
{
    if (value != -1 && value != 1) {
        return 0;
    }
    bits[feature] = (value == 1) ? 1u : 0u;
    return 1;
}

static int fail(const char *what)
{
    (void)fflush(stdout);
    (void)fprintf(stderr, "line %lu: %s\n", line, what);
    return 2;
}

#ifdef TINY_2_TRACE
static int tracing = 0;

void tiny_2_trace(uint16_t layer, char stage, const int32_t *values, uint16_t n)
{
    if (tracing) {
        (void)printf("trace %u %c", (unsigned)layer, stage);
        for (uint16_t i = 0u; i < n; i++) {
            (void)printf(" %ld", (long)values[i]);
        }
        (void)printf("\n");
    }
}

#define SET_TRACING(value) (tracing = (value))
#else
#define SET_TRACING(value) ((void)0)
#endif

/* Runs the network on the stored vector and prints the result. */
static int answer(void)
{
    static int32_t logits[TINY_2_N_LOGITS];
    uint16_t label = 0u;

    if (tiny_2_pack(bits, input) != QHN_OK) {
        return fail("the network refused the input");
    }
    SET_TRACING(1);
    if (tiny_2_logits(input, logits) != QHN_OK) {
        return fail("the network refused the input");
    }
    SET_TRACING(0);
    if (tiny_2_predict(input, &label) != QHN_OK) {
        return fail("the network refused the input");
    }
    (void)printf("%u", (unsigned)label);
    for (uint32_t i = 0u; i < TINY_2_N_LOGITS; i++) {
        (void)printf(" %ld", (long)logits[i]);
    }
    (void)printf("\n");
    return 0;
}

static int is_blank(int c)
{
    return c == ' ' || c == ',' || c == '\t' || c == '\r';
}

static int is_digit(int c)
{
    return c >= '0' && c <= '9';
}

/* Reads the integer that starts with c; returns the character after it, and sets *valid to 0 if there is none. */
static int read_integer(int c, long *value, int *valid)
{
    const int negative = (c == '-');

    *value = 0;
    if (c == '-' || c == '+') {
        c = getchar();
    }
    *valid = is_digit(c);
    while (is_digit(c)) {
        if (*value < MAGNITUDE_LIMIT) { /* any number of digits is read without overflow */
            *value = *value * 10 + (c - '0');
        }
        c = getchar();
    }
    if (c != EOF && c != '\n' && !is_blank(c)) {
        *valid = 0;
    }
    if (negative) {
        *value = -*value;
    }
    return c;
}

int main(void)
{
    uint32_t n_read = 0u;
    int c = getchar();

    for (;;) {
        if (c == '\n' || c == EOF) {
            int status = 0;

            if (n_read == TINY_2_N_FEATURES) {
                status = answer();
            } else if (n_read != 0u) {
                status = fail("fewer than 34 features");
            }
            if (status != 0) {
                return status;
            }
            if (c == EOF) {
                break;
            }
            n_read = 0u;
            line++;
            c = getchar();
        } else if (is_blank(c)) {
            c = getchar();
        } else {
            long value;
            int valid;

            c = read_integer(c, &value, &valid);
            if (!valid) {
                return fail("not an integer");
            }
            if (n_read == TINY_2_N_FEATURES) {
                return fail("more than 34 features");
            }
            if (!store(n_read, value)) {
                return fail("a feature is out of range; expected -1 or 1");
            }
            n_read++;
        }
    }
    if (ferror(stdin)) {
        return fail("the input cannot be read");
    }
    return (fflush(stdout) == 0 && !ferror(stdout)) ? 0 : 1;
}
