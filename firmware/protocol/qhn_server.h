/* qhn_server: answers a host's requests over a serial line. C99, no heap, no recursion, no interrupts.
 *
 * The frames, the requests, and what makes faults of the line harmless are in PROTOCOL.md. The server calls the
 * board's functions of qhn_board.h and the model's of the generated qhn_adapter.h, and nothing else.
 */
#ifndef QHN_SERVER_H
#define QHN_SERVER_H

#ifdef __cplusplus
extern "C" {
#endif

#define QHN_PROTOCOL_VERSION 1u

/* Types of requests. */
#define QHN_HELLO 1u /* no payload; the answer describes the model */
#define QHN_INFER 2u /* an input vector; the answer tells label, ticks and logits */

/* An answer has the type of its request with these bits set. */
#define QHN_ANSWER 0x80u
#define QHN_ERROR_ANSWER 0xffu

/* Code of an error: the board's version where version or type of the request are not known, or */
#define QHN_BAD_VECTOR 0u /* the input vector has the wrong length, or a value out of range */

/* Serves requests for ever. Call qhn_board_init() first. */
void qhn_serve(void);

#ifdef __cplusplus
}
#endif

#endif
