#include "intel_hex.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { LONGEST_RECORD = 5 + 255 };

typedef struct {
    uint8_t bytes[LONGEST_RECORD]; /* length, address high, address low, type, data, checksum */
} record_t;

enum { DATA = 0, SEGMENT = 2, LINEAR = 4 };

static bool parse(const char *line, record_t *record)
{
    uint8_t sum = 0;
    unsigned n = 0;
    unsigned value;
    if (line[0] != ':') {
        return false;
    }
    for (line++; n < LONGEST_RECORD && sscanf(line, "%2x", &value) == 1; line += 2) {
        record->bytes[n++] = (uint8_t)value;
        sum = (uint8_t)(sum + value);
    }
    return n >= 5 && n == record->bytes[0] + 5U && sum == 0;
}

static uint32_t load(FILE *file, uint8_t *memory, uint32_t n_bytes, const char **problem)
{
    char line[600];
    record_t record;
    uint32_t base = 0;
    uint32_t lowest = UINT32_MAX;
    while (*problem == NULL && fgets(line, sizeof line, file) != NULL) {
        if (!parse(line, &record)) {
            *problem = "no Intel HEX record in";
            break;
        }
        const uint8_t *bytes = record.bytes;
        uint32_t word = bytes[4] * 256U + bytes[5]; /* of the types SEGMENT and LINEAR */
        uint32_t address = base + bytes[1] * 256U + bytes[2];
        if (bytes[3] == SEGMENT || bytes[3] == LINEAR) {
            base = bytes[3] == SEGMENT ? word << 4 : word << 16;
        } else if (bytes[3] == DATA && address + bytes[0] > n_bytes) {
            *problem = "the flash is too small for";
        } else if (bytes[3] == DATA) {
            memcpy(memory + address, bytes + 4, bytes[0]);
            lowest = address < lowest ? address : lowest;
        }
    }
    return lowest;
}

uint32_t intel_hex_load(const char *name, uint8_t *memory, uint32_t n_bytes, const char **problem)
{
    FILE *file = fopen(name, "r");
    *problem = file == NULL ? "cannot read" : NULL;
    if (file == NULL) {
        return UINT32_MAX;
    }
    uint32_t lowest = load(file, memory, n_bytes, problem);
    (void)fclose(file);
    return lowest;
}
