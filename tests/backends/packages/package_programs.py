"""Models, runs of the packages' examples, and what their output must be."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from strategies import random_dense

from qhn2edge import interpreter
from qhn2edge.backends.c_text import c_name
from qhn2edge.data.encoder import Encoder
from qhn2edge.layers import Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model
from qhn2edge.toolchain import C_FLAGS, CompilerFound, run_tool

STUBS = Path(__file__).parent / "stubs"
TARGETS = ("arduino", "platformio", "zephyr", "esp-idf", "cmsis-pack")

_LINE = re.compile(r"vector (\d+): label (\d+) logits((?: -?\d+)+) (right|WRONG, expected .*)")
_VERDICT = re.compile(r"(PASS|FAIL): (\d+) of (\d+) vectors are right")


def bit_model(seed: int = 0, name: str = "bits-40") -> Model:
    """Return a model with bit inputs, 40 -> 9 -> 3."""
    rng = np.random.default_rng(seed)
    layers = (random_dense(rng, 40, 9, (-1, 1), Sign()), random_dense(rng, 9, 3, (-1, 1), Identity()))
    return Model(name, Input(40, Encoder.bits()), layers, Head("argmax", ("no", "maybe", "yes|no \u2603")))


def uint8_model(seed: int = 0) -> Model:
    """Return a model with uint8 inputs, 20 -> 6 -> 1, every kind of level."""
    rng = np.random.default_rng(seed)
    layers = (
        random_dense(rng, 20, 6, (-3, 1), Relu(shift=2, clip_bits=8), bias=900),
        random_dense(rng, 6, 1, (-1, 1), Identity(), bias=90),
    )
    return Model("pixels_20", Input(20, Encoder.uint8_unit()), layers, Head("threshold", ("dark", "light")))


def int8_model(seed: int = 0) -> Model:
    """Return a model with int8 inputs, 7 -> 5 -> 4, a table, and a logit at the lowest end."""
    rng = np.random.default_rng(seed)
    hidden = random_dense(rng, 7, 5, (-1, 1), Table(-200, tuple(range(0, 400, 3)), "sigmoid"))
    last = random_dense(rng, 5, 4, (0, 1), Identity())
    weights = last.weights_bin.copy()
    bias = last.bias.copy()
    weights[3], bias[3] = 0, -(2**31) + 1
    last = Dense(weights, bias, (0, 1), Identity())
    return Model("int", Input(7, Encoder.int8_fixed()), (hidden, last), Head("argmax", tuple("abcd")))


MODELS = {"bit": bit_model, "uint8": uint8_model, "int8": int8_model}


# ---- what an example prints ----


@dataclass(frozen=True)
class Printed:
    """What an example said: labels [n], logits [n][n_logits], whether each is right, and the verdict."""

    labels: list[int]
    logits: list[list[int]]
    right: list[bool]
    verdict: str


def read_output(text: str) -> Printed:
    """Return what an example printed; every line must be of a known form."""
    first, *lines, last = text.replace("\r", "").strip().splitlines()
    assert re.fullmatch(rf"\S+: {len(lines)} known vectors", first), first
    found = [_LINE.fullmatch(line) for line in lines]
    assert all(found), text
    groups = [match.groups() for match in found if match is not None]
    assert [int(group[0]) for group in groups] == list(range(len(lines)))
    right = [group[3] == "right" for group in groups]
    verdict = _VERDICT.fullmatch(last)
    assert verdict is not None, last
    assert (int(verdict[2]), int(verdict[3])) == (sum(right), len(lines))
    assert verdict[1] == ("PASS" if all(right) else "FAIL")
    logits = [[int(word) for word in group[2].split()] for group in groups]
    return Printed([int(group[1]) for group in groups], logits, right, verdict[1])


def vectors_in(header: Path, model: Model) -> NDArray[np.int64]:
    """Return the inputs in the text of NAME_vectors.h, as the interpreter takes them."""
    upper = c_name(model.name).upper()
    found = re.search(rf"int8_t {upper}_VECTORS\[.*?= \{{\n(.*?)\n\}};", header.read_text(), re.DOTALL)
    assert found is not None
    values = np.array([int(word) for word in re.findall(r"-?\d+", found[1])], dtype=np.int64)
    x = values.reshape(-1, model.input.n_features)
    return 2 * x - 1 if model.input.kind == "bit" else x


def assert_example_is_right(text: str, model: Model, header: Path) -> None:
    """Compare the integers that an example printed with the interpreter's for the inputs in its header."""
    printed = read_output(text)
    x = vectors_in(header, model)
    logits = interpreter.logits(model, x)
    assert printed.logits == logits.tolist()
    assert printed.labels == interpreter.class_indices(model, logits).tolist()
    assert printed.verdict == "PASS"


def the_header(folder: Path) -> Path:
    """Return the one header with known vectors below a folder."""
    (path,) = folder.rglob("*_vectors.h")
    return path


# ---- running examples ----


def run_on_host(
    compiler: CompilerFound,
    sources: Sequence[Path],
    include: Sequence[Path],
    build: Path,
    flags: Sequence[str] = (),
) -> tuple[int, str]:
    """Compile C files for this machine without a warning; return the program's exit status and output."""
    program = build / "program"
    folders = [f"-I{folder}" for folder in include]
    command = [*compiler.command, *C_FLAGS, "-Werror", "-O1", *flags, *folders, *map(str, sources)]
    run_tool([*command, "-o", str(program)], timeout_s=120)
    result = run_tool([str(program)], timeout_s=20, check=False)
    return result.returncode, result.stdout.decode("ascii")


def run_in_simavr(program: Path, timeout_s: float = 30.0) -> str:
    """Run an ATmega328P program until it printed its verdict; return what it printed over its serial port.

    The program never ends by itself. simavr shows serial lines on its standard error.
    """
    command = ["simavr", "-m", "atmega328p", "-f", "16000000", str(program)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None
    try:
        return _until_verdict(process.stderr.fileno(), time.monotonic() + timeout_s)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()


def _until_verdict(pipe: int, deadline: float) -> str:
    """Return the serial lines: simavr shows them in colour, with dots for carriage return and line feed."""
    text = ""
    while time.monotonic() < deadline:
        if select.select([pipe], [], [], 0.2)[0]:
            block = os.read(pipe, 65536)
            text += block.decode("ascii", errors="replace")
            assert block, f"simavr ended: {text}"
        plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
        lines = [line[:-2] for line in plain.splitlines() if line.endswith("..")]
        if lines and lines[-1].endswith("are right"):
            return "\n".join(lines)
    raise AssertionError(f"no verdict: {text}")
