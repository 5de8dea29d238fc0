"""One program with many exports of a model, one for each kernel and core, on equal inputs."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from c_programs import STRICT
from numpy.typing import NDArray

from qhn2edge.backends.c_kernels import KERNELS, misfit
from qhn2edge.backends.c_layers import layer_values
from qhn2edge.backends.c_options import COptions
from qhn2edge.backends.c_plan import plan_layers
from qhn2edge.backends.to_c import emit
from qhn2edge.layers import pack_bits
from qhn2edge.model import Model
from qhn2edge.toolchain import CompilerFound, compile_c, run_tool

_MAIN = """#include <stdio.h>
#include <stdlib.h>
{includes}

/* Argument: bytes by which the input lies beyond a word's address. Each input from stdin gives the logits
 * of every export on stdout. */
int main(int argc, char **argv)
{{
    static uint32_t room[{n_words} + 1u];
    static int32_t logits[{n_logits}];
    uint8_t *const input = (uint8_t *)room + ((argc > 1) ? atoi(argv[1]) : 0);

    while (fread(input, {n_bytes}, 1, stdin) == 1u) {{
{calls}
    }}
    return (fflush(stdout) == 0) ? 0 : 1;
}}
"""
_CALL = """        if ({name}_logits((const {c_type} *){source}, logits) != QHN_OK) {{
            return 3;
        }}
        if (fwrite(logits, sizeof logits, 1, stdout) != 1u) {{
            return 1;
        }}"""


def variants(model: Model, cores: Sequence[str | None]) -> list[COptions]:
    """Return the options of every kernel that fits a layer, for each core, but none that gives equal C."""
    found: dict[str, COptions] = {}
    for core in cores:
        for name in (*KERNELS, "auto"):
            options = COptions(core=core, kernel=name)
            plans = plan_layers(model, options)
            if name == "auto" or any(misfit(KERNELS[name], plan) is None for plan in plans):
                found.setdefault(str(layer_values(model, options)), options)
    return list(found.values())


def memory(model: Model, x: NDArray[np.integer[Any]]) -> bytes:
    """Return inputs as they lie in the memory of a little-endian core."""
    if model.input.kind == "bit":
        return pack_bits((x > 0).astype(np.uint8)).astype("<u4").tobytes()
    return x.astype(np.uint8 if model.input.kind == "uint8" else np.int8).tobytes()


def write_variants(model: Model, options: Sequence[COptions], folder: Path) -> list[str]:
    """Export a model with each of the options into one folder, and return the C names."""
    names = [f"v{number}" for number in range(len(options))]
    for name, chosen in zip(names, options, strict=True):
        emit(dataclasses.replace(model, name=name), folder, chosen)
    return names


def logits_of(
    model: Model,
    options: Sequence[COptions],
    x: NDArray[np.integer[Any]],
    compiler: CompilerFound,
    *,
    optimize: str = "-O1",
    sanitize: bool = False,
    offset: int = 0,
) -> NDArray[np.int32]:
    """Return the logits of each export, int32 [n_options, n, n_logits], on a little-endian host.

    Args:
        model: the model.
        options: how to export it; the files are compiled without a warning.
        x: integer inputs [n, n_features].
        compiler: the host's compiler.
        optimize: its level.
        sanitize: build with sanitizers.
        offset: bytes by which an input lies beyond the address of a word.
    """
    with tempfile.TemporaryDirectory(prefix="qhn2edge-kernels-") as name:
        sources, build = Path(name) / "sources", Path(name) / "build"
        sources.mkdir()
        build.mkdir()
        names = write_variants(model, options, sources)
        (sources / "main.c").write_text(_main(model, names))
        program = compile_c(
            sources, build, compiler=compiler, flags=STRICT, optimize=optimize, sanitize=sanitize
        )
        result = run_tool([str(program), str(offset)], input=memory(model, x), timeout_s=300)
    rows = np.frombuffer(result.stdout, dtype="<i4").reshape(len(x), len(options), model.head.n_logits)
    return np.moveaxis(rows, 1, 0).astype(np.int32)


def _main(model: Model, names: Sequence[str]) -> str:
    n_bytes = len(memory(model, np.full((1, model.input.n_features), model.input.low)))
    is_bit = model.input.kind == "bit"
    c_type = {"bit": "uint32_t", "uint8": "uint8_t", "int8": "int8_t"}[model.input.kind]
    call = {"c_type": c_type, "source": "room" if is_bit else "input"}
    return _MAIN.format(
        includes="\n".join(f'#include "{name}.h"' for name in names),
        n_words=-(-n_bytes // 4),
        n_bytes=n_bytes,
        n_logits=model.head.n_logits,
        calls="\n".join(_CALL.format(name=name, **call) for name in names),
    )
