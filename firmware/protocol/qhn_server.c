/* qhn_server: receives frames, runs the model, sends frames. PROTOCOL.md tells what is on the line. */
#include "qhn_server.h"

#include <stddef.h>
#include <stdint.h>

#include "qhn_adapter.h"
#include "qhn_board.h"

#if defined(__BYTE_ORDER__) && defined(__ORDER_BIG_ENDIAN__) && (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
#error "the line carries words as a little-endian core holds them; this core is big-endian"
#endif

#define FLAG 0x7eu   /* starts a frame and occurs nowhere else */
#define ESCAPE 0x7du /* the next byte is meant xor TOGGLE */
#define TOGGLE 0x20u
#define CRC_START 0xffffffffu
#define CRC_POLYNOMIAL 0xedb88320u /* CRC-32, lowest bit first */

#define HEADER_BYTES 8u
#define CRC_BYTES 4u
#define KIND(type) (((uint32_t)QHN_PROTOCOL_VERSION << 8) | (type)) /* the low half of a frame's first word */

/* Payloads of the answers: ticks, then the description of the model or the logits. */
#define HELLO_BYTES (4u + (4u * QHN_HELLO_WORDS))
#define INFER_BYTES (4u + (4u * QHN_N_LOGITS))
#define MOST_WORDS ((QHN_N_LOGITS > QHN_HELLO_WORDS) ? QHN_N_LOGITS : QHN_HELLO_WORDS)

/* Frames as words of a little-endian core, lowest bits first: type 8, version 8, number 16; code 16, length 16;
 * payload. Two arrays and no struct: so tools see where each ends. */
static uint32_t request_frame[2u + QHN_INPUT_WORDS];
static uint32_t answer_frame[3u + MOST_WORDS];
static uint32_t frame_crc; /* register of the frame that comes in or goes out */

/* Takes a byte into the CRC. A byte that equals the register's low byte shifts the register right by 8 and does
 * nothing else: the register is sent by sending its low byte four times, and its own CRC takes it to 0. */
static void count(uint8_t byte)
{
    uint32_t crc = frame_crc ^ byte;

    for (uint_fast8_t i = 8u; i > 0u; i--) {
        crc = (crc >> 1) ^ (CRC_POLYNOMIAL & (0u - (crc & 1u)));
    }
    frame_crc = crc;
}

/* Sends the first n_bytes of the answer, four of which are its CRC. */
static void send_answer(size_t n_bytes)
{
    const uint8_t *next = (const uint8_t *)answer_frame;

    qhn_uart_write(FLAG);
    for (size_t left = n_bytes; left > 0u; left--) {
        uint8_t byte = (uint8_t)frame_crc;

        if (left > CRC_BYTES) {
            byte = *next;
            next++;
        }
        count(byte);
        if ((byte == FLAG) || (byte == ESCAPE)) {
            qhn_uart_write(ESCAPE);
            byte ^= TOGGLE;
        }
        qhn_uart_write(byte);
    }
}

/* Answers a request whose CRC is right. */
static void answer(void)
{
    const uint16_t kind = (uint16_t)request_frame[0];
    int32_t code = -1; /* negative: an error */
    uint32_t error = QHN_BAD_VECTOR;
    uint16_t n_payload = 0u;

    if (kind == KIND(QHN_HELLO)) {
        answer_frame[2] = qhn_ticks_per_second();
        for (uint_fast8_t i = 0u; i < QHN_HELLO_WORDS; i++) {
            answer_frame[3u + i] = qhn_adapter_hello[i];
        }
        code = (int32_t)QHN_INPUT_BYTES;
        n_payload = HELLO_BYTES;
    } else if (kind == KIND(QHN_INFER)) {
        const uint32_t start = qhn_ticks();

        if ((request_frame[1] >> 16) == QHN_INPUT_BYTES) {
            code = qhn_adapter_infer(&request_frame[2], (int32_t *)&answer_frame[3]);
            answer_frame[2] = qhn_ticks() - start;
            n_payload = INFER_BYTES;
        }
    } else {
        error = QHN_PROTOCOL_VERSION;
    }
    answer_frame[0] = request_frame[0] | QHN_ANSWER;
    if (code < 0) {
        answer_frame[0] |= QHN_ERROR_ANSWER;
        code = (int32_t)error;
        n_payload = 0u;
    }
    answer_frame[1] = (uint32_t)code | ((uint32_t)n_payload << 16);
    send_answer((size_t)n_payload + HEADER_BYTES + CRC_BYTES);
}

void qhn_serve(void)
{
    uint8_t *const request = (uint8_t *)request_frame;
    size_t n = HEADER_BYTES + CRC_BYTES + 1u; /* bytes since the flag; at first, too many for a request */
    uint32_t last = 0u;                       /* the last four of them: at the end of a request, its CRC */
    uint8_t toggle = 0u;

    for (;;) {
        const int16_t received = qhn_uart_read();
        uint8_t byte = (uint8_t)received;

        if (received < 0) {
            continue;
        }
        if (byte == FLAG) {
            frame_crc = CRC_START;
            n = 0u;
            toggle = 0u;
            continue;
        }
        if (byte == ESCAPE) {
            toggle = TOGGLE;
            continue;
        }
        byte ^= toggle;
        toggle = 0u;
        count(byte);
        last = (last >> 8) | ((uint32_t)byte << 24);
        if (n < (HEADER_BYTES + QHN_INPUT_BYTES)) {
            request[n] = byte;
        }
        n++;
        if ((n == (HEADER_BYTES + CRC_BYTES + (request_frame[1] >> 16))) && (frame_crc == 0u)) {
            frame_crc = last; /* the answer's CRC goes on from the request's: it fits no other request */
            answer();
        }
    }
}
