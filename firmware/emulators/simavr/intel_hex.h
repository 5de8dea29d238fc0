/* Reads Intel HEX with its checksums. (simavr's own reader stumbles over start-address records.) */
#ifndef INTEL_HEX_H
#define INTEL_HEX_H

#include <stdint.h>

/* Copy an image into memory. Returns its lowest address, UINT32_MAX where it holds no data.
 * On a failure *problem tells what is wrong with the file, else it is NULL. */
uint32_t intel_hex_load(const char *name, uint8_t *memory, uint32_t n_bytes, const char **problem);

#endif
