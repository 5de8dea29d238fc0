"""Frama-C's EVA: what it proves of C files for all inputs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis_models import Written
from conftest import absent

from qhn2edge.layers import INT32_MAX, INT32_MIN
from qhn2edge.resources import resource
from qhn2edge.toolchain import run_tool

INT_16, INT_32 = "gcc_x86_16", "gcc_x86_32"
"""Machines with int of 16 bits (as AVR has) and of 32 bits; pointers as wide as int."""
OPTIONS = (
    "-eva", "-eva-no-show-progress", "-eva-msg-key=-initial-state",
    "-eva-precision", "2", "-eva-slevel", "30", "-eva-auto-loop-unroll", "300",
    "-warn-signed-downcast", "-warn-right-shift-negative", "-warn-invalid-pointer",
)  # fmt: skip
"""The last line adds alarms for what C leaves to the implementation, which the code avoids as well."""
PORTABLE = ("-U__GNUC__", "-U__clang__")
"""The C without compilers' extensions: the preprocessor is gcc, but Frama-C does not follow its assembly."""


@dataclass(frozen=True)
class Proof:
    """What EVA says at its end.

    Attributes:
        alarms: each operation that may be undefined for some input, each assertion that may be false.
        n_proved: assertions that are true for all inputs.
        is_clean: whether EVA itself had no complaint (a function without a body, for example).
        ends: whether the program ends.
        text: everything.
    """

    alarms: tuple[str, ...]
    n_proved: int
    is_clean: bool
    ends: bool
    text: str

    def assert_holds(self) -> None:
        """Fail unless nothing is left to prove."""
        assert self.alarms == ()
        assert self.is_clean, self.text


def frama_c_file(name: str) -> Path:
    """Return a file of firmware/frama-c."""
    return resource("firmware", "frama-c", name)


EXACT_POPCOUNT = ("-include", str(frama_c_file("count_bits.h")))


def prove(
    sources: Sequence[Path],
    includes: Sequence[Path],
    machine: str = INT_32,
    defines: Sequence[str] = (),
    options: Sequence[str] = (),
) -> Proof:
    """Analyse a whole program."""
    if shutil.which("frama-c") is None:
        absent("frama-c")
    arguments = " ".join([*(f"-I{path}" for path in includes), *PORTABLE, *defines])
    command = ["frama-c", "-machdep", machine, f"-cpp-extra-args={arguments}", *OPTIONS, *options]
    return _read(run_tool([*command, *map(str, sources)], timeout_s=300).stdout.decode())


def _read(text: str) -> Proof:
    (n_alarms,) = re.findall(r"(\d+) alarms? generated", text)
    ((n_valid, *n_open),) = re.findall(r"Assertions +(\d+) valid +(\d+) unknown +(\d+) invalid", text)
    alarms = re.findall(r"\[eva:alarm\] (.*) Warning: \n +(.*)", text)
    assert len(alarms) >= int(n_alarms) + sum(map(int, n_open)), text
    return Proof(
        alarms=tuple(f"{Path(place).name} {what}" for place, what in alarms),
        n_proved=int(n_valid),
        is_clean="No errors or warnings raised during the analysis." in text,
        ends="NON TERMINATING FUNCTION" not in text,
        text=text,
    )


def models_header(written: Iterable[Written], *, exact: bool) -> str:
    """Return models.h for any_input.c.

    Args:
        written: the models.
        exact: whether EVA is to keep the logits within the model's ranges; else, within int32.
    """
    lines, entries = [], []
    for one in written:
        name, upper, last = one.prefix, one.prefix.upper(), one.model.ranges[-1]
        n = one.model.head.n_logits
        low, high = (last.low, last.high) if exact else ([INT32_MIN] * n, [INT32_MAX] * n)
        lines.append(f'#include "{name}.h"')
        for word, values in (("low", low), ("high", high)):
            items = ", ".join("INT32_MIN" if v == INT32_MIN else str(int(v)) for v in values)
            lines.append(f"static const int32_t {name}_{word}[{upper}_N_LOGITS] = {{{items}}};")
        entries.append(f"{one.model.input.kind.upper()}({name}, {upper})")
    return "\n".join([*lines, f"#define MODELS {' '.join(entries)}", ""])


def sources_of(folder: Path, written: Iterable[Written]) -> list[Path]:
    """Return the C files of models, the runtime, and what calls them."""
    return [
        *(folder / f"{one.prefix}.c" for one in written),
        folder / "qhn_binn.c",
        frama_c_file("any_input.c"),
    ]


def prove_models(
    folder: Path,
    written: Sequence[Written],
    machine: str = INT_32,
    *,
    exact: bool = False,
    defines: Sequence[str] = (),
) -> Proof:
    """Analyse the functions of models for every input of each."""
    (folder / "models.h").write_text(models_header(written, exact=exact))
    return prove(sources_of(folder, written), [folder], machine, defines)
