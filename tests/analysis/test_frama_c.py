"""Nothing in the C is undefined for any input: Frama-C's EVA follows all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from analysis_models import PAIR, SIGNED_TABLE, Written, model_of, write_model
from eva import EXACT_POPCOUNT, INT_16, INT_32, Proof, frama_c_file, prove, prove_models

from qhn2edge.backends.c_adapter import emit_adapter
from qhn2edge.backends.c_options import KERNELS, COptions
from qhn2edge.boards.board import Board
from qhn2edge.boards.catalog import all_boards
from qhn2edge.layers import Relu, Sign
from qhn2edge.model import Model
from qhn2edge.resources import resource

MODELS = (
    model_of("bits", "bit", 35, [(33, PAIR, Sign())], 3),
    model_of("levels", "bit", 17, [(6, (-3, 1), Relu(2, 6)), (5, (-2, 1), Sign())], 1, (0, 1)),
    model_of("uint8", "uint8", 19, [(9, PAIR, SIGNED_TABLE)], 2, PAIR),
    model_of("int8", "int8", 18, [(5, (-3, 1), Sign())], 1),
    model_of("wide", "int8", 6, [(3, PAIR, Relu())], 2, PAIR),
)
NAMED = sorted(set(KERNELS) - {"auto"})
AVR = ("-D__AVR__",)
SIMD = ("-D__ARM_FEATURE_SIMD32=1", f"-I{frama_c_file('acle')}")


def written_with(
    folder: Path, core: str | None, kernel: str, models: Sequence[Model] = MODELS
) -> list[Written]:
    """Write the models that a kernel can run."""
    found = [write_model(folder, model, COptions(core, kernel), f"_{kernel}") for model in models]
    return [one for one in found if one is not None]


class TestEveryKernel:
    @pytest.mark.parametrize("kernel", NAMED)
    def test_portable(self, tmp_path: Path, kernel: str) -> None:
        """Inputs of every value, refused ones too: no undefined operation, and a class as the label."""
        proof = prove_models(tmp_path, written_with(tmp_path, None, kernel), defines=EXACT_POPCOUNT)
        proof.assert_holds()
        assert proof.n_proved == 3  # of any_input.c
        assert proof.ends

    @pytest.mark.parametrize("kernel", sorted(set(NAMED) - {"adds"}))
    def test_where_int_has_16_bits(self, tmp_path: Path, kernel: str) -> None:
        """The same for the code of AVR, whose arithmetic is narrower: no operation relies on a wider int."""
        prove_models(tmp_path, written_with(tmp_path, "avr", kernel), INT_16, defines=AVR).assert_holds()

    @pytest.mark.parametrize("kernel", ["masks", "packed"])
    def test_four_bytes_at_once(self, tmp_path: Path, kernel: str) -> None:
        """The same for the code of cores with such instructions, which stand as C in acle/arm_acle.h."""
        prove_models(tmp_path, written_with(tmp_path, "cortex-m4", kernel), defines=SIMD).assert_holds()


LIMITS = {
    "deep": (model_of("deep", "bit", 33, [(7, PAIR, Sign())], 3), ("xnor",)),
    "bits": (model_of("bits", "bit", 31, [], 3), ("xnor", "nibbles")),
    "uint8": (model_of("uint8", "uint8", 9, [], 3, (0, 1), bias=0), ("plain", "columns")),
}
"""Models and kernels whose logits EVA keeps in range. The other kernels hold several numbers in a word,
or reckon modulo 2^32; of these EVA knows too little."""


class TestLogits:
    @pytest.mark.parametrize("name", LIMITS)
    def test_stay_in_the_exact_ranges(self, tmp_path: Path, name: str) -> None:
        """Where an interval for each variable is enough, EVA derives the ranges that the model states."""
        model, kernels = LIMITS[name]
        written = [one for kernel in kernels for one in written_with(tmp_path, None, kernel, [model])]
        assert len(written) == len(kernels)
        prove_models(tmp_path, written, exact=True, defines=EXACT_POPCOUNT).assert_holds()

    def test_narrower_ranges_are_not_proved(self, tmp_path: Path) -> None:
        """The ranges cannot be narrowed by 1."""
        written = written_with(tmp_path, None, "xnor", [LIMITS["bits"][0]])
        prove_models(tmp_path, written, exact=True, defines=EXACT_POPCOUNT).assert_holds()
        header = tmp_path / "models.h"
        low = int(written[0].model.ranges[-1].low[0])
        header.write_text(header.read_text().replace(f"{{{low},", f"{{{low + 1},"))
        sources = [tmp_path / f"{written[0].prefix}.c", tmp_path / "qhn_binn.c", frama_c_file("any_input.c")]
        (alarm,) = prove(sources, [tmp_path], defines=EXACT_POPCOUNT).alarms
        assert "logits_are_in_range" in alarm


def defective(folder: Path, right: str, wrong: str) -> Proof:
    """Analyse a model whose text has a defect."""
    written = written_with(folder, None, "xnor", MODELS[:1])
    path = folder / f"{written[0].prefix}.c"
    text = path.read_text()
    assert right in text
    path.write_text(text.replace(right, wrong, 1))
    return prove_models(folder, written, defines=EXACT_POPCOUNT)


@pytest.mark.parametrize(
    ("right", "wrong", "alarm"),
    [
        ("i < 33u; i++", "i < 34u; i++", "out of bounds read"),
        ("y[i / 32u] = word", "y[(i / 32u) + 1u] = word", "out of bounds write"),
        ("<< (i % 32u)", "<< (i % 33u)", "invalid RHS operand for shift"),
        ("2 * (int32_t)qhn_differing", "61356675 * (int32_t)qhn_differing", "signed overflow"),
        ("uint32_t word = 0u;", "uint32_t word;", "uninitialized"),
    ],
)
def test_a_defect_raises_an_alarm(tmp_path: Path, right: str, wrong: str, alarm: str) -> None:
    """An index off by one, a shift by 32, the least overflow, a value that is not set: each is seen."""
    assert any(alarm in found for found in defective(tmp_path, right, wrong).alarms)


class TestFirmware:
    @pytest.mark.parametrize(
        ("model", "core", "machine", "defines"),
        [
            (0, None, INT_32, ()),
            (2, "cortex-m4", INT_32, SIMD),
            (1, "avr", INT_16, AVR),
            (3, "avr", INT_16, AVR),
        ],
    )
    def test_any_bytes(
        self, tmp_path: Path, model: int, core: str | None, machine: str, defines: Sequence[str]
    ) -> None:
        """Server, adapter and model together: no stream of bytes makes them do anything undefined."""
        (written,) = written_with(tmp_path, core, "auto", [MODELS[model]])
        emit_adapter(written.model, tmp_path)
        sources = [
            *(tmp_path / name for name in (f"{written.prefix}.c", "qhn_binn.c", "qhn_adapter.c")),
            resource("firmware", "protocol", "qhn_server.c"),
            resource("firmware", "app", "main.c"),
            frama_c_file("any_bytes.c"),
        ]
        includes = [tmp_path, *(resource("firmware", room) for room in ("protocol", "board"))]
        proof = prove(sources, includes, machine, defines, ["-eva-slevel-function", "qhn_serve:0"])
        proof.assert_holds()
        assert not proof.ends  # it serves for ever

    @pytest.mark.parametrize("uart", sorted({name for board in all_boards() for name in board.build.uart}))
    def test_uart(self, uart: str) -> None:
        """A driver does nothing undefined, whatever the registers hold, and receives -1 or a byte."""
        board = next(board for board in all_boards() if uart in board.build.uart)
        is_avr = board.core == "avr"
        registers = "0x20-0xff" if is_avr else "0x10000000-0x6fffffff"
        proof = prove(
            [resource("firmware", "uart", uart), frama_c_file("any_call.c")],
            [resource("firmware", "board")],
            INT_16 if is_avr else INT_32,
            macros(board),
            ["-absolute-valid-range", registers, "-eva-slevel", "0"],
        )
        proof.assert_holds()
        assert proof.ends
        assert proof.n_proved == 1  # of any_call.c


def macros(board: Board) -> list[str]:
    """Return what a build defines for a board."""
    own = [f"-D{name}={value}" for name, value in board.build.defines.items()]
    return [f"-DQHN_CLOCK_HZ={board.clock_hz}ul", f"-DQHN_BAUD={board.serial.baud}ul", *own]
