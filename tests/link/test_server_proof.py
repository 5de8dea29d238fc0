"""The server stays in its buffers, whatever arrives: Frama-C follows every stream of bytes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from conftest import absent

from qhn2edge.resources import resource, resource_text
from qhn2edge.toolchain import run_tool

ADAPTER = """
#include <stdint.h>
#define QHN_INPUT_BYTES {n_input}u
#define QHN_INPUT_WORDS {n_words}u
#define QHN_N_LOGITS {n_logits}u
#define QHN_HELLO_WORDS 6u
extern const uint32_t qhn_adapter_hello[QHN_HELLO_WORDS];
int32_t qhn_adapter_infer(const uint32_t *input, int32_t *logits);
"""

# A board that receives any byte or none at any time, and a model that reads its input and writes any logits.
BOARD = """
#include "__fc_builtin.h"
#include "qhn_adapter.h"
#include "qhn_board.h"
#include "qhn_server.h"
const uint32_t qhn_adapter_hello[QHN_HELLO_WORDS] = {1u, 2u, 3u, 4u, 5u, 6u};
volatile uint32_t sink;
int32_t qhn_adapter_infer(const uint32_t *input, int32_t *logits)
{
    for (uint32_t i = 0u; i < QHN_INPUT_WORDS; i++) {
        sink = input[i];
    }
    for (uint32_t i = 0u; i < QHN_N_LOGITS; i++) {
        logits[i] = Frama_C_interval(-2147483647 - 1, 2147483647);
    }
    return Frama_C_interval(-1, 16381);
}
int16_t qhn_uart_read(void) { return (int16_t)Frama_C_interval(-1, 255); }
void qhn_uart_write(uint8_t byte) { sink = byte; }
uint32_t qhn_ticks(void) { return Frama_C_unsigned_int_interval(0u, 0xffffffffu); }
uint32_t qhn_ticks_per_second(void) { return Frama_C_unsigned_int_interval(0u, 0xffffffffu); }
int main(void) { qhn_serve(); return 0; }
"""


def alarms(folder: Path, server: str, n_input: int, n_logits: int) -> int:
    """Return how many operations of a server could go wrong for a model of this size."""
    if shutil.which("frama-c") is None:
        absent("frama-c")
    sizes = {"n_input": n_input, "n_words": -(-n_input // 4), "n_logits": n_logits}
    texts = {"qhn_adapter.h": ADAPTER.format(**sizes), "board.c": BOARD, "qhn_server.c": server}
    for name, text in texts.items():
        (folder / name).write_text(text)
    includes = " ".join(
        f"-I{path}" for path in (folder, *(resource("firmware", n) for n in ("protocol", "board")))
    )
    options = ["-eva", "-eva-precision", "0", "-eva-auto-loop-unroll", "200", "-eva-no-show-progress"]
    command = ["frama-c", "-machdep", "gcc_x86_32", f"-cpp-extra-args={includes}", *options]
    sources = [str(folder / name) for name in ("qhn_server.c", "board.c")]
    result = run_tool([*command, *sources], timeout_s=120)
    text = result.stdout.decode()
    assert "NON TERMINATING FUNCTION" in text  # it serves for ever
    (found,) = re.findall(r"(\d+) alarms? generated", text)
    return int(found)


@pytest.mark.parametrize(("n_input", "n_logits"), [(1, 1), (7, 3), (8, 10), (33, 30)])
def test_no_alarm(tmp_path: Path, n_input: int, n_logits: int) -> None:
    """No stream of bytes makes the server read or write outside its buffers, or overflow."""
    assert alarms(tmp_path, resource_text("firmware", "protocol", "qhn_server.c"), n_input, n_logits) == 0


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("n < (HEADER_BYTES + QHN_INPUT_BYTES)", "n <= (HEADER_BYTES + QHN_INPUT_BYTES)"),
        ("n < (HEADER_BYTES + QHN_INPUT_BYTES)", "n < (HEADER_BYTES + (request_frame[1] >> 16))"),
        ("left > CRC_BYTES", "left > 0u"),
    ],
)
def test_the_analysis_sees(tmp_path: Path, right: str, wrong: str) -> None:
    """A server that leaves its buffers by one byte, or believes the length that it is told, raises alarms."""
    server = resource_text("firmware", "protocol", "qhn_server.c")
    assert server.count(right) == 1
    assert alarms(tmp_path, server.replace(right, wrong), 8, 10) > 0
