/* any_input: calls the functions of generated models with every input, for Frama-C's EVA.
 *
 * models.h, which whoever runs the analysis writes, includes the headers of the models and defines
 *
 *     #define MODELS BIT(name, NAME) UINT8(name, NAME) INT8(name, NAME) ...   one entry a model, by its kind of input
 *     static const int32_t name_low[] = {...}, name_high[] = {...};           the least and the greatest logits
 *
 * EVA then proves, for all inputs of each model, that nothing is undefined (no access outside an object, no value used
 * before it is set, no overflow, no impossible shift), that the logits stay between name_low and name_high, and
 * that the label is a class.
 */
#include <stddef.h>
#include <stdint.h>

#include "__fc_builtin.h"
#include "models.h"

static void check_logits(const int32_t *logits, const int32_t *low, const int32_t *high, uint16_t n)
{
    for (uint16_t i = 0u; i < n; i++) {
        /*@ assert logits_are_in_range: low[i] <= logits[i] <= high[i]; */
    }
}

static void check_label(uint16_t label, uint32_t n_classes)
{
    /*@ assert label_is_a_class: label < n_classes; */
}

static void check_result(qhn_result result, qhn_result expected)
{
    /*@ assert result_is_as_expected: result == expected; */
}

/* The functions on a valid input x. */
#define CALL_VALID(name, NAME, x)                                                 \
    do {                                                                          \
        int32_t logits[NAME##_N_LOGITS];                                          \
        uint16_t label;                                                           \
                                                                                  \
        check_result(name##_logits(x, logits), QHN_OK);                           \
        check_logits(logits, name##_low, name##_high, NAME##_N_LOGITS);           \
        check_result(name##_predict(x, &label), QHN_OK);                          \
        check_label(label, NAME##_N_CLASSES);                                     \
        check_result(name##_logits(NULL, logits), QHN_NULL_POINTER);              \
        check_result(name##_logits(x, NULL), QHN_NULL_POINTER);                   \
        check_result(name##_predict(NULL, &label), QHN_NULL_POINTER);             \
        check_result(name##_predict(x, NULL), QHN_NULL_POINTER);                  \
    } while (0)

/* Bytes of which each is 0 or 1 are packed and predicted; then bytes of any value, and words of any value, whose
 * unused bits may be set: they may be refused. */
#define BIT(name, NAME)                                                           \
    {                                                                             \
        uint8_t bits[NAME##_N_FEATURES];                                          \
        uint32_t x[NAME##_INPUT_WORDS];                                           \
        int32_t logits[NAME##_N_LOGITS];                                          \
                                                                                  \
        for (size_t i = 0u; i < NAME##_N_FEATURES; i++) {                         \
            bits[i] = (uint8_t)Frama_C_unsigned_int_interval(0u, 1u);             \
        }                                                                         \
        check_result(name##_pack(bits, x), QHN_OK);                               \
        CALL_VALID(name, NAME, x);                                                \
        for (size_t i = 0u; i < NAME##_N_FEATURES; i++) {                         \
            bits[i] = (uint8_t)Frama_C_unsigned_int_interval(0u, 255u);           \
        }                                                                         \
        (void)name##_pack(bits, x);                                               \
        for (size_t i = 0u; i < NAME##_INPUT_WORDS; i++) {                        \
            x[i] = any_word();                                                    \
        }                                                                         \
        (void)name##_logits(x, logits);                                           \
    }

#define UINT8(name, NAME)                                                         \
    {                                                                             \
        uint8_t x[NAME##_N_FEATURES];                                             \
                                                                                  \
        for (size_t i = 0u; i < NAME##_N_FEATURES; i++) {                         \
            x[i] = (uint8_t)Frama_C_unsigned_int_interval(0u, 255u);              \
        }                                                                         \
        CALL_VALID(name, NAME, x);                                                \
    }

#define INT8(name, NAME)                                                          \
    {                                                                             \
        int8_t x[NAME##_N_FEATURES];                                              \
                                                                                  \
        for (size_t i = 0u; i < NAME##_N_FEATURES; i++) {                         \
            x[i] = (int8_t)Frama_C_interval(-128, 127);                           \
        }                                                                         \
        CALL_VALID(name, NAME, x);                                                \
    }

static uint32_t any_word(void)
{
    /* from two halves: int has 16 bits where the analysis is for AVR */
    const uint32_t high = Frama_C_unsigned_int_interval(0u, 0xffffu);

    return (high << 16) | Frama_C_unsigned_int_interval(0u, 0xffffu);
}

int main(void)
{
    MODELS
    return 0;
}
