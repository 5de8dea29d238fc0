/* What a test program needs to run a model on vectors from standard input, at several addresses.
 *
 * Rows of int16 come in; logits (int32) and label (int32) go out. Buffers are as long as the input and not a byte
 * longer, so that an address sanitizer sees every access beyond it.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qhn_binn.h"

#define N_OFFSETS 4u /* addresses, modulo a word, of the same bytes */

/* Writes the packed or converted input at out; returns 0 where it is refused. */
typedef int (*convert_function)(const int16_t *row, void *out);
typedef qhn_result (*logits_function)(const void *x, int32_t *logits);
typedef qhn_result (*label_function)(const void *x, uint16_t *label);

typedef struct {
    const char *name;
    size_t n_features;
    size_t n_bytes; /* of an input */
    size_t n_logits;
    int any_address; /* whether an input may start at any address */
    convert_function convert;
    logits_function logits;
    label_function label;
} model_entry;

#define FUNCTIONS(name, type)                                                                       \
    static qhn_result logits_##name(const void *x, int32_t *logits)                                 \
    {                                                                                               \
        return name##_logits((const type *)x, logits);                                              \
    }                                                                                               \
    static qhn_result label_##name(const void *x, uint16_t *label)                                  \
    {                                                                                               \
        return name##_predict((const type *)x, label);                                              \
    }

#define BYTES(name, NAME, type)                                                                     \
    FUNCTIONS(name, type)                                                                           \
    static int convert_##name(const int16_t *row, void *out)                                        \
    {                                                                                               \
        for (size_t i = 0u; i < NAME##_N_FEATURES; i++) {                                           \
            ((type *)out)[i] = (type)row[i];                                                        \
        }                                                                                           \
        return 1;                                                                                   \
    }

#define UINT8(name, NAME) BYTES(name, NAME, uint8_t)
#define INT8(name, NAME) BYTES(name, NAME, int8_t)
#define BIT(name, NAME)                                                                             \
    FUNCTIONS(name, uint32_t)                                                                       \
    static int convert_##name(const int16_t *row, void *out)                                        \
    {                                                                                               \
        uint8_t bits[NAME##_N_FEATURES];                                                            \
                                                                                                    \
        for (size_t i = 0u; i < NAME##_N_FEATURES; i++) {                                           \
            bits[i] = (row[i] == 1) ? 1u : 0u;                                                      \
        }                                                                                           \
        return name##_pack(bits, (uint32_t *)out) == QHN_OK;                                        \
    }

static int answer(const model_entry *model, const int16_t *row)
{
    const size_t n_offsets = model->any_address ? N_OFFSETS : 1u;
    int32_t *first = calloc(model->n_logits + 1u, sizeof *first);
    int status = (first == NULL) ? 3 : 0;

    for (size_t offset = 0u; (status == 0) && (offset < n_offsets); offset++) {
        uint8_t *bytes = malloc(offset + model->n_bytes);
        int32_t *result = calloc(model->n_logits + 1u, sizeof *result);
        uint16_t label = 0u;

        if ((bytes == NULL) || (result == NULL) || !model->convert(row, &bytes[offset]) ||
            (model->logits(&bytes[offset], result) != QHN_OK) || (model->label(&bytes[offset], &label) != QHN_OK)) {
            status = 4;
        } else {
            result[model->n_logits] = label;
            if (offset == 0u) {
                memcpy(first, result, (model->n_logits + 1u) * sizeof *first);
            } else if (memcmp(first, result, (model->n_logits + 1u) * sizeof *first) != 0) {
                status = 5;
            }
        }
        free(bytes);
        free(result);
    }
    if (status == 0) {
        (void)fwrite(first, sizeof *first, model->n_logits + 1u, stdout);
    }
    free(first);
    return status;
}

static int run(const model_entry *model)
{
    int16_t *row = malloc(model->n_features * sizeof *row);
    int status = (row == NULL) ? 3 : 0;

    while ((status == 0) && (fread(row, sizeof *row, model->n_features, stdin) == model->n_features)) {
        status = answer(model, row);
    }
    free(row);
    return status;
}

static int run_named(const model_entry *models, size_t n_models, const char *name)
{
    for (size_t i = 0u; i < n_models; i++) {
        if (strcmp(models[i].name, name) == 0) {
            return run(&models[i]);
        }
    }
    return 2;
}
