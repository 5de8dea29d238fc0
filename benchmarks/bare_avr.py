"""Runs exported models on a simulated ATmega328P and counts cycles: a test program, avr-gcc and simavr.

The program calls each model on each vector, reads timer 1 before and after, and prints a line a call: cycles,
stack bytes, the label and the logits. The call itself and the reading of the timer are subtracted.
"""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qhn2edge.toolchain import C_FLAGS, run_tool

MCU = "atmega328p"
_TIMEOUT_S = 300.0
_RETURN_BYTES = 2  # of the function that calls the model; the model's own return address counts
_INTEGER = re.compile(r"-?\d+")
_OPTIMIZE = {"speed": "-O3", "size": "-Os"}
_MAIN = r"""
#include <avr/io.h>
#include <avr/interrupt.h>
#include <avr/sleep.h>
%(includes)s
#define N_PAINTED 700u

static void put(char c)
{
    while ((UCSR0A & (1 << UDRE0)) == 0) {
    }
    UDR0 = (uint8_t)c;
}

static void number(int32_t value)
{
    char digits[11];
    uint8_t n = 0u;
    uint32_t rest = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;

    if (value < 0) {
        put('-');
    }
    do {
        digits[n++] = (char)('0' + rest %% 10u);
        rest /= 10u;
    } while (rest != 0u);
    while (n > 0u) {
        put(digits[--n]);
    }
    put(' ');
}

static volatile uint8_t overflows;

ISR(TIMER1_OVF_vect)
{
    overflows++;
}

static uint16_t label;
static int32_t logits[%(n_logits)d];
static uint32_t scratch[2][%(n_scratch)d];

static void nothing(const void *x, void *y)
{
    __asm__ volatile("" : : "r"(x), "r"(y) : "memory");
}

typedef void (*function)(const void *x, void *y);

static void measure(function f, const void *x, void *y)
{
    uint8_t *const painted = (uint8_t *)(SP - N_PAINTED + 1u);
    uint16_t untouched = 0u;
    uint16_t cycles;

    for (uint16_t i = 0u; i < N_PAINTED; i++) {
        painted[i] = 0xa5u;
    }
    overflows = 0u;
    TCNT1 = 0u;
    f(x, y);
    cycles = TCNT1;
    while (untouched < N_PAINTED && painted[untouched] == 0xa5u) {
        untouched++;
    }
    number((int32_t)(cycles + 65536ul * overflows));
    number((int32_t)(N_PAINTED - untouched));
}

int main(void)
{
    UCSR0B = (1 << TXEN0);
    TCCR1B = 1;
    TIMSK1 = (1 << TOIE1);
    sei();
    measure(nothing, 0, 0);
    put('\n');
%(calls)s
    cli();
    sleep_enable();
    sleep_cpu();
    for (;;) {
    }
}
"""


@dataclass(frozen=True)
class AvrModel:
    """A model to run.

    Attributes:
        name: its C name.
        folder: its export, which no other model shares.
        c_types: the C type of the inputs, then of each layer's outputs.
        n_scratch: 32-bit words that hold any layer's outputs.
        n_logits: its logits.
        vectors: its inputs, as C integers.
    """

    name: str
    folder: Path
    c_types: tuple[str, ...]
    n_scratch: int
    n_logits: int
    vectors: Sequence[Sequence[int]]


@dataclass(frozen=True)
class AvrCall:
    """What one prediction gave and cost; the cycles of its layers, in order."""

    label: int
    logits: tuple[int, ...]
    cycles: int
    layers: tuple[int, ...]
    stack_bytes: int


def is_installed() -> bool:
    """Return whether avr-gcc and simavr are found."""
    return shutil.which("avr-gcc") is not None and shutil.which("simavr") is not None


def run(models: Sequence[AvrModel], build: Path, *, optimize: str = "speed") -> list[list[AvrCall]]:
    """Run models on their vectors.

    Args:
        models: the models; the runtime of the first is linked.
        build: an existing folder for the program.
        optimize: "speed" or "size".

    Returns:
        For each model a call a vector.
    """
    gcc = ("avr-gcc", f"-mmcu={MCU}", *C_FLAGS[1:], "-std=gnu99", "-ffunction-sections", "-fdata-sections")
    (build / "main.c").write_text(_program(models))
    objects = [_compile(("avr-gcc", f"-mmcu={MCU}", "-std=gnu99", "-Os"), build / "main.c", build)]
    strict = (*gcc, "-Werror", _OPTIMIZE[optimize])
    for model in models:
        (build / f"wrapped_{model.name}.c").write_text(_wrapper(model))
        objects.append(_compile((*strict, f"-I{model.folder}"), build / f"wrapped_{model.name}.c", build))
    objects.append(_compile(strict, models[0].folder / "qhn_binn.c", build))
    program = str(build / "program.elf")
    run_tool([*gcc, "-Wl,--gc-sections", *objects, "-o", program], timeout_s=_TIMEOUT_S)
    result = run_tool(["simavr", "-m", MCU, "-f", "16000000", program], timeout_s=_TIMEOUT_S, check=False)
    text = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout.decode(errors="replace") + result.stderr)
    lines = (line.strip().rstrip(".").split() for line in text.splitlines())
    rows = [[int(n) for n in line] for line in lines if line and all(_INTEGER.fullmatch(n) for n in line)]
    return _calls(models, rows)


def _compile(command: Sequence[str], source: Path, build: Path) -> str:
    target = str(build / f"{source.stem}.o")
    run_tool([*command, "-c", str(source), "-o", target], timeout_s=_TIMEOUT_S)
    return target


def model_flash_bytes(models: Sequence[AvrModel], build: Path) -> int:
    """Return the flash that the models and the runtime take in the last program: tables and code."""
    names = [str(build / f"wrapped_{model.name}.o") for model in models]
    result = run_tool(["avr-size", *names], timeout_s=_TIMEOUT_S)
    rows = [line.split() for line in result.stdout.decode().splitlines()[1:]]
    return sum(int(row[0]) + int(row[1]) for row in rows)


# ---- the program ----


def _wrapper(model: AvrModel) -> str:
    """Return a file that holds a model and gives its layers to the test program."""
    layers = [
        f"void {model.name}_layer_{k}(const void *x, void *y);\n"
        f"void {model.name}_layer_{k}(const void *x, void *y) "
        f"{{ layer_{k}((const {source} *)x, ({target} *)y); }}"
        for k, (source, target) in enumerate(itertools.pairwise(model.c_types), start=1)
    ]
    predict = (
        f"void {model.name}_whole(const void *x, void *y);\n"
        f"void {model.name}_whole(const void *x, void *y) "
        f"{{ (void){model.name}_predict((const {model.c_types[0]} *)x, (uint16_t *)y); }}"
    )
    return "\n".join([f'#include "{model.name}.c"', *layers, predict, ""])


def _program(models: Sequence[AvrModel]) -> str:
    declarations, calls = [], []
    for number, model in enumerate(models):
        rows = ", ".join("{" + ", ".join(map(str, row)) + "}" for row in model.vectors)
        shape = f"[{len(model.vectors)}][{len(model.vectors[0])}]"
        names = [f"{model.name}_layer_{k}" for k in range(1, len(model.c_types))] + [f"{model.name}_whole"]
        declarations += [f"void {name}(const void *x, void *y);" for name in names]
        declarations.append(f"uint8_t {model.name}_logits(const {model.c_types[0]} *x, int32_t *logits);")
        declarations.append(f"static const __flash {model.c_types[0]} X{number}{shape} = {{{rows}}};")
        calls.append(_model_calls(number, model))
    return _MAIN % {
        "includes": "\n".join(declarations),
        "calls": "\n".join(calls),
        "n_logits": max(model.n_logits for model in models),
        "n_scratch": max(model.n_scratch for model in models),
    }


def _model_calls(number: int, model: AvrModel) -> str:
    layers = []
    for k in range(1, len(model.c_types)):
        source = "x" if k == 1 else f"scratch[{k % 2}]"
        layers.append(f"        measure({model.name}_layer_{k}, {source}, scratch[{1 - k % 2}]);")
    return "\n".join(
        [
            f"    for (uint16_t v = 0u; v < {len(model.vectors)}u; v++) {{",
            f"        static {model.c_types[0]} x[{len(model.vectors[0])}];",
            f"        for (uint16_t j = 0u; j < {len(model.vectors[0])}u; j++) {{",
            f"            x[j] = X{number}[v][j];",
            "        }",
            f"        measure({model.name}_whole, x, &label);",
            *layers,
            f"        (void){model.name}_logits(x, logits);",
            "        number(label);",
            f"        for (uint8_t i = 0u; i < {model.n_logits}u; i++) {{",
            "            number(logits[i]);",
            "        }",
            "        put('\\n');",
            "    }",
        ]
    )


def _calls(models: Sequence[AvrModel], rows: list[list[int]]) -> list[list[AvrCall]]:
    overhead, answers = rows[0][0], iter(rows[1:])
    found: list[list[AvrCall]] = []
    for model in models:
        found.append([])
        end = 2 * len(model.c_types)
        for _ in model.vectors:
            row = next(answers)
            layers = tuple(cycles - overhead for cycles in row[2:end:2])
            answer = (row[end], tuple(row[end + 1 :]))
            found[-1].append(AvrCall(*answer, row[0] - overhead, layers, row[1] - _RETURN_BYTES))
    return found
