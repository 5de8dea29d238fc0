"""The adapter: describes the model, and is its prediction in one call."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from strategies import ENCODERS, models, random_dense, random_inputs

from qhn2edge import interpreter
from qhn2edge.backends.c_adapter import ADAPTER_FILES, KIND_CODES, emit_adapter, hello_bytes, input_bytes
from qhn2edge.backends.to_c import emit
from qhn2edge.errors import ExportError
from qhn2edge.layers import Identity
from qhn2edge.model import Head, Input, Model
from qhn2edge.toolchain import CompilerFound, compile_c, run_tool

# Prints what the adapter says, then label and logits of each vector that it reads, as the words in memory.
DRIVER = """
#include <stdio.h>
#include "qhn_adapter.h"
static uint32_t input[QHN_INPUT_WORDS];
static int32_t logits[QHN_N_LOGITS];
int main(void)
{
    printf("%u %u\\n", (unsigned)QHN_INPUT_BYTES, (unsigned)QHN_INPUT_WORDS);
    for (unsigned i = 0u; i < QHN_HELLO_WORDS; i++) {
        printf("%08lx ", (unsigned long)qhn_adapter_hello[i]);
    }
    printf("\\n");
    while (fread(input, sizeof input, 1u, stdin) == 1u) {
        printf("%ld", (long)qhn_adapter_infer(input, logits));
        for (unsigned i = 0u; i < QHN_N_LOGITS; i++) {
            printf(" %ld", (long)logits[i]);
        }
        printf("\\n");
    }
    return 0;
}
"""


def dense_model(n_classes: int, name: str = "m", kind: str = "bit", n_features: int = 1) -> Model:
    """Return a model of one layer."""
    head = Head("argmax", tuple(f"c{i}" for i in range(n_classes)))
    layer = random_dense(np.random.default_rng(0), n_features, n_classes, (-1, 1), Identity())
    return Model(name, Input(n_features, ENCODERS[kind]), (layer,), head)


def words(model: Model, x: np.ndarray[tuple[int, ...], np.dtype[np.int16]]) -> bytes:
    """Return input vectors as the C API's memory, padded to words, in the plainest way."""
    rows = []
    for row in x.tolist():
        if model.input.kind == "bit":
            number = sum(1 << j for j, value in enumerate(row) if value > 0)
            content = number.to_bytes(input_bytes(model.input), "little")
        else:
            content = bytes(value % 256 for value in row)
        rows.append(content + bytes(-len(content) % 4))
    return b"".join(rows)


def outputs(model: Model, compiler: CompilerFound, folder: Path, content: bytes) -> list[list[str]]:
    """Compile a model with its adapter, without a warning, and return the driver's lines."""
    emit(model, folder)
    assert emit_adapter(model, folder) == ADAPTER_FILES
    (folder / "main.c").write_text(DRIVER)
    sanitize = compiler.can_sanitize
    program = compile_c(folder, folder, compiler=compiler, flags=("-Werror",), sanitize=sanitize)
    result = run_tool([str(program)], input=content, timeout_s=60)
    return [line.split() for line in result.stdout.decode().splitlines()]


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(model=models())
def test_is_the_interpreter(
    model: Model, host_compiler: CompilerFound, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """For any model, label and logits are the interpreter's, and the description is the model's."""
    x = random_inputs(model, 50, seed=0)
    folder = tmp_path_factory.mktemp("adapter")
    (n_bytes, n_words), hello, *rows = outputs(model, host_compiler, folder, words(model, x))
    assert (int(n_bytes), 4 * int(n_words)) == (input_bytes(model.input), len(words(model, x[:1])))
    assert struct.pack("<6I", *(int(word, 16) for word in hello)) == hello_bytes(model)
    logits = interpreter.logits(model, x)
    expected = np.column_stack([interpreter.class_indices(model, logits), logits])
    np.testing.assert_array_equal(np.array(rows, dtype=np.int64), expected)


def test_refused_input(host_compiler: CompilerFound, tmp_path: Path) -> None:
    """Packed bits beyond the features are refused with -1."""
    model = dense_model(3, n_features=9)
    *_, refused, taken = outputs(model, host_compiler, tmp_path, bytes([0, 2, 0, 0, 0, 1, 0, 0]))
    assert refused[0] == "-1"
    assert taken[0] != "-1"


def test_description() -> None:
    """The description is 16 bytes of digest, features, logits, classes and kind, little-endian."""
    model = dense_model(300, kind="int8", n_features=513)
    assert hello_bytes(model) == bytes.fromhex(model.digest[7:39]) + bytes([1, 2, 44, 1, 44, 1, 3, 0])
    assert sorted(KIND_CODES.values()) == [1, 2, 3]


@pytest.mark.parametrize(("kind", "n_bytes"), [("bit", 2), ("uint8", 9), ("int8", 9)])
def test_input_bytes(kind: str, n_bytes: int) -> None:
    """Nine features are two bytes of bits, or nine bytes."""
    assert input_bytes(dense_model(3, kind=kind, n_features=9).input) == n_bytes


def test_equal_models_give_equal_files(tmp_path: Path) -> None:
    """The files depend on the model only."""
    contents = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        emit_adapter(dense_model(3), folder)
        contents.append([(folder / file).read_bytes() for file in ADAPTER_FILES])
    assert contents[0] == contents[1]


@pytest.mark.parametrize("name", ["qhn-server", "QHN_ADAPTER", "qhn_board"])
def test_names_of_the_firmware(name: str, tmp_path: Path) -> None:
    """A model whose files would replace the firmware's is refused."""
    with pytest.raises(ExportError, match=f"name of a firmware file: got {name}. Rename it"):
        emit_adapter(dense_model(3, name), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_too_many_logits(tmp_path: Path) -> None:
    """Logits that an answer cannot hold are refused; the last ones that fit are not."""
    with pytest.raises(ExportError, match=r"do not fit into an answer.*got 16,383, expected at most 16,382"):
        emit_adapter(dense_model(16383), tmp_path)
    assert emit_adapter(dense_model(16382), tmp_path) == ADAPTER_FILES
