"""Every kernel, for every kind of core, under the sanitizers: the right integers, and silence."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from analysis_models import MODELS, NAMED_KERNELS, Written, write_every_kernel
from numpy.typing import NDArray
from strategies import random_inputs

from qhn2edge import interpreter
from qhn2edge.toolchain import CompilerFound, compile_c, run_tool
from qhn2edge.verify.vectors import corners, extremes

NAMES = {
    None: ("bit_sign", "bit_relu", "int8_relu", "uint8_table"),
    "avr": ("bit_sign", "uint8_table"),
    "cortex-m4": ("int8_relu", "uint8_sign"),
}
"""Models for each kind of core. Each generates other code: 32 units at once or 16, one at a time or four."""


def driver(written: Iterable[Written]) -> str:
    """Return a program that runs the model that its argument names."""
    includes, functions, rows = [], [], []
    for one in written:
        name, upper, kind = one.prefix, one.prefix.upper(), one.model.input.kind
        is_bit = kind == "bit"
        size = f"4u * {upper}_INPUT_WORDS" if is_bit else f"{upper}_N_FEATURES"
        counts = f"{upper}_N_FEATURES, {size}, {upper}_N_LOGITS, {0 if is_bit else 1}"
        includes.append(f'#include "{name}.h"')
        functions.append(f"{kind.upper()}({name}, {upper})")
        rows.append(f'    {{"{name}", {counts}, convert_{name}, logits_{name}, label_{name}}},')
    main = [
        "static const model_entry MODELS[] = {",
        *rows,
        "};",
        "int main(int argc, char **argv)",
        "{",
        "    return (argc == 2) ? run_named(MODELS, sizeof MODELS / sizeof *MODELS, argv[1]) : 2;",
        "}",
    ]
    return "\n".join(['#include "every_model.h"', *includes, *functions, *main, ""])


@pytest.fixture(scope="module", params=NAMES, ids=str)
def program(
    request: pytest.FixtureRequest,
    sanitizing_compiler: CompilerFound,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, list[Written]]:
    """The models with every kernel for a core, in one program of this machine."""
    folder, build = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("build")
    written = write_every_kernel(folder, [MODELS[name] for name in NAMES[request.param]], request.param)
    (folder / "driver.c").write_text(driver(written))
    flags = ["-Werror", f"-I{folder}", f"-I{Path(__file__).parent}"]
    path = compile_c(folder, build, compiler=sanitizing_compiler, optimize="-O0", sanitize=True, flags=flags)
    return path, written


def inputs(one: Written) -> NDArray[np.int16]:
    """Return corners, the inputs that take the first layer to its limits, and random ones."""
    source = one.model.input
    return np.concatenate(
        [corners(source), extremes(source, one.model.dense_layers[0]), random_inputs(one.model, 40, 0)]
    )


def test_every_kernel(program: tuple[Path, list[Written]]) -> None:
    """The integers are the interpreter's wherever the input lies, and no sanitizer speaks."""
    path, written = program
    for one in written:
        x = inputs(one).astype(np.int16)
        result = run_tool([str(path), one.prefix], input=x.tobytes(), timeout_s=60, check=False)
        assert (result.returncode, result.stderr) == (0, ""), one.prefix
        rows = np.frombuffer(result.stdout, dtype=np.int32).reshape(len(x), -1)
        logits = interpreter.logits(one.model, x)
        np.testing.assert_array_equal(rows[:, :-1], logits, err_msg=one.prefix)
        np.testing.assert_array_equal(rows[:, -1], interpreter.class_indices(one.model, logits))


def test_all_are_there(program: tuple[Path, list[Written]]) -> None:
    """No kernel is left out, but for the one that AVR cannot run."""
    missing = set(NAMED_KERNELS) - {one.prefix.rsplit("_", 1)[1] for one in program[1]}
    assert missing <= {"adds"}
