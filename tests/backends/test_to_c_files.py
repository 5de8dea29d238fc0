"""The text of the C export: golden files, packed order, names, the host program, the checked API."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from c_programs import Program, assert_equal_to_interpreter, build
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import models, random_inputs

from qhn2edge import modelfile
from qhn2edge.backends import BACKENDS, export_model
from qhn2edge.backends.c_text import MAX_LITERAL_BYTES, c_name, integer, rows, string_literal
from qhn2edge.backends.to_c import RUNTIME_FILES
from qhn2edge.data.encoder import Encoder
from qhn2edge.errors import ExportError, StorageError
from qhn2edge.layers import INT32_MAX, INT32_MIN, Dense, Identity, Relu, Sign, Table, pack_bits
from qhn2edge.model import Head, Input, Model
from qhn2edge.toolchain import C_FLAGS, CompilerFound, run_tool

GOLDEN = Path(__file__).parent / "golden" / "tiny-2"
HOSTILE = (
    '"); evil(); //',
    "*/ int x; /*",
    "??/",
    "a\\",
    "\n\r\t\0b",
    "12\x013",
    "Ωμέγα 🦊",
    "\ud800",
    "%s %n",
    "$name",
)


def tiny_model() -> Model:
    """Return the model behind the golden files; every kind of layer is in it."""
    rng = np.random.default_rng(7)

    def bits(n_out: int, n_in: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
        return rng.integers(0, 2, size=(n_out, n_in), dtype=np.uint8)

    layers = (
        Dense(bits(3, 34), np.array([1, -2, 0]), (-1, 1), Sign()),
        Dense(bits(4, 3), np.array([0, 1, 2, 3]), (-3, 1), Relu(shift=1, clip_bits=3)),
        Dense(bits(2, 4), np.array([-4, 4]), (0, 1), Table(-2, (-7, -3, 0, 3, 7), "sigmoid")),
        Dense(bits(3, 2), np.array([0, 0, -1]), (-1, 1), Identity()),
    )
    return Model("tiny-2", Input(34, Encoder.bits()), layers, Head("argmax", ("no", "maybe", "yes")))


def one_bit_model(name: str = "m", classes: tuple[str, ...] = ("a", "b")) -> Model:
    """Return the smallest model of a name and classes."""
    n_out = len(classes)
    layer = Dense(np.ones((n_out, 1), np.uint8), np.arange(n_out, dtype=np.int32), (-1, 1), Identity())
    return Model(name, Input(1, Encoder.bits()), (layer,), Head("argmax", classes))


class TestGolden:
    @pytest.mark.parametrize("name", ["tiny_2.h", "tiny_2.c", "main.c", "CMakeLists.txt", "README.md"])
    def test_text_is_the_golden_text(self, tmp_path: Path, name: str) -> None:
        """The text of a small model changes only on purpose (copy the new files here and read the diff)."""
        folder = export_model(tiny_model(), "c", tmp_path / "out")
        assert (folder / name).read_text("ascii") == (GOLDEN / name).read_text("ascii")

    def test_golden_model_is_exact(self, host_compiler: CompilerFound) -> None:
        """The golden text computes the right integers."""
        model = tiny_model()
        assert_equal_to_interpreter(build(model, host_compiler), model, random_inputs(model, 500, 0))

    def test_two_exports_are_equal(self, tmp_path: Path) -> None:
        """Every byte of every file depends on the model only."""
        first = export_model(tiny_model(), "c", tmp_path / "a")
        second = export_model(tiny_model(), "c", tmp_path / "b")
        contents = [{path.name: path.read_bytes() for path in f.iterdir()} for f in (first, second)]
        assert contents[0] == contents[1]
        assert set(contents[0]) >= {*RUNTIME_FILES, "model.json", "main.c", "tiny_2.c", "tiny_2.h"}

    def test_folder_holds_its_model(self, tmp_path: Path) -> None:
        """model.json in the folder is the model, and the header names its digest."""
        model = tiny_model()
        folder = export_model(model, "c", tmp_path / "out")
        assert modelfile.read(folder / "model.json") == model
        assert f'#define TINY_2_DIGEST "{model.digest}"' in (folder / "tiny_2.h").read_text()


class TestExport:
    def test_unknown_target_names_the_nearest(self, tmp_path: Path) -> None:
        """A mistyped target is answered with the list and the nearest name; nothing is written."""
        with pytest.raises(ExportError) as caught:
            export_model(tiny_model(), "C", tmp_path / "out")
        known = ", ".join(sorted(BACKENDS))
        assert str(caught.value) == (
            f"unknown export target: got C, expected one of {known}. Did you mean c?"
        )
        assert not list(tmp_path.iterdir())

    def test_existing_folder_is_refused(self, tmp_path: Path) -> None:
        """An export replaces nothing unless asked to."""
        export_model(tiny_model(), "c", tmp_path / "out")
        with pytest.raises(StorageError, match="exists already"):
            export_model(one_bit_model(), "c", tmp_path / "out")
        assert (tmp_path / "out" / "tiny_2.c").exists()

    def test_replace_swaps_an_earlier_export(self, tmp_path: Path) -> None:
        """With replace, nothing of the earlier export is left."""
        export_model(tiny_model(), "c", tmp_path / "out")
        export_model(one_bit_model(), "c", tmp_path / "out", replace=True)
        names = {path.name for path in (tmp_path / "out").iterdir()}
        assert "m.c" in names
        assert "tiny_2.c" not in names

    def test_replace_spares_other_folders(self, tmp_path: Path) -> None:
        """A folder that is not an export is never replaced."""
        (tmp_path / "thesis.txt").write_text("years of work")
        with pytest.raises(ExportError, match="not an earlier export"):
            export_model(tiny_model(), "c", tmp_path, replace=True)
        assert (tmp_path / "thesis.txt").read_text() == "years of work"

    def test_failed_export_leaves_nothing(self, tmp_path: Path) -> None:
        """A model that does not fit the target leaves no folder and no temporary folder."""
        with pytest.raises(ExportError, match="too long for a C string"):
            export_model(one_bit_model(classes=("a", "b" * 5000)), "c", tmp_path / "out")
        assert not list(tmp_path.iterdir())

    def test_registry_names_match(self) -> None:
        """Each backend is registered under its own name."""
        assert all(name == backend.name for name, backend in BACKENDS.items())


class TestPackedOrder:
    @settings(max_examples=20, deadline=None)
    @given(model=models())
    def test_weight_words_are_those_of_pack_bits(
        self, tmp_path_factory: pytest.TempPathFactory, model: Model
    ) -> None:
        """The words in the C text are layers.pack_bits of the weights, row after row."""
        folder = export_model(model, "c", tmp_path_factory.mktemp("packed") / "out")
        text = (folder / f"{c_name(model.name)}.c").read_text()
        for number, layer in enumerate(model.dense_layers, start=1):
            found = re.search(rf"LAYER_{number}_WEIGHTS\[(\d+)\] = \{{(.*?)\}};", text, re.DOTALL)
            assert found is not None
            words = [int(word, 16) for word in re.findall(r"0x([0-9a-f]{8})u", found[2])]
            assert words == pack_bits(layer.weights_bin).ravel().tolist()
            assert int(found[1]) == len(words)

    @pytest.mark.parametrize("n", [1, 31, 32, 33, 64, 70])
    def test_pack_function_is_pack_bits(self, sanitizing_compiler: CompilerFound, n: int) -> None:
        """NAME_pack writes the words of layers.pack_bits."""
        layer = Dense(np.ones((2, n), np.uint8), np.zeros(2, np.int32), (-1, 1), Identity())
        model = Model("m", Input(n, Encoder.bits()), (layer,), Head("argmax", ("a", "b")))
        bits = np.random.default_rng(n).integers(0, 2, size=n, dtype=np.uint8)
        values = ", ".join(f"{bit}u" for bit in bits)
        driver = f"""
            #include <stdio.h>
            #include "m.h"
            int main(void)
            {{
                static const uint8_t bits[M_N_FEATURES] = {{{values}}};
                uint32_t words[M_INPUT_WORDS];
                if (m_pack(bits, words) != QHN_OK) {{ return 1; }}
                for (uint32_t i = 0u; i < M_INPUT_WORDS; i++) {{ printf("%lx\\n", (unsigned long)words[i]); }}
                return 0;
            }}"""
        result = build(model, sanitizing_compiler, driver=driver, sanitize=True).feed("")
        assert [int(line, 16) for line in result.stdout.split()] == pack_bits(bits).tolist()


class TestCheckedApi:
    def test_wrong_arguments_are_refused(self, sanitizing_compiler: CompilerFound) -> None:
        """Null pointers, bytes other than 0 and 1, and unused bits that are set give their result codes."""
        driver = """
            #include <stddef.h>
            #include "tiny_2.h"
            int main(void)
            {
                uint8_t bits[TINY_2_N_FEATURES] = {0};
                uint32_t x[TINY_2_INPUT_WORDS] = {0};
                int32_t logits[TINY_2_N_LOGITS];
                uint16_t label = 77u;
                if (tiny_2_predict(x, &label) != QHN_OK || label >= TINY_2_N_CLASSES) { return 1; }
                if (tiny_2_predict(NULL, &label) != QHN_NULL_POINTER) { return 2; }
                if (tiny_2_predict(x, NULL) != QHN_NULL_POINTER) { return 3; }
                if (tiny_2_logits(NULL, logits) != QHN_NULL_POINTER) { return 4; }
                if (tiny_2_logits(x, NULL) != QHN_NULL_POINTER) { return 5; }
                if (tiny_2_pack(NULL, x) != QHN_NULL_POINTER) { return 6; }
                if (tiny_2_pack(bits, NULL) != QHN_NULL_POINTER) { return 7; }
                bits[33] = 2u;
                if (tiny_2_pack(bits, x) != QHN_BAD_INPUT) { return 8; }
                x[1] = 4u; /* bit 34: the first unused one */
                label = 77u;
                if (tiny_2_predict(x, &label) != QHN_BAD_INPUT || label != 77u) { return 9; }
                x[1] = 3u;
                if (tiny_2_logits(x, logits) != QHN_OK) { return 10; }
                return 0;
            }"""
        result = build(tiny_model(), sanitizing_compiler, driver=driver, sanitize=True).feed("")
        assert result.returncode == 0, result.stderr


CORES = {
    "avr": ("-target", "avr-freestanding-none", "-mcpu=atmega328p", "-mmcu=atmega328p"),
    "cortex-m0": ("-target", "thumb-freestanding-eabi", "-mcpu=cortex_m0"),
    "riscv32": ("-target", "riscv32-freestanding", "-mcpu=generic_rv32+m+a+c"),
    "big-endian": ("-target", "s390x-linux-musl"),
}


class TestSmallCores:
    @pytest.mark.parametrize("core", sorted(CORES))
    def test_sources_compile_without_a_warning(self, zig: CompilerFound, tmp_path: Path, core: str) -> None:
        """Where int has 16 bits, or uint32_t is a long, the same text is as clean and needs no C library."""
        folder = export_model(tiny_model(), "c", tmp_path / "out")
        flags = [*C_FLAGS, "-Werror", "-Os", "-ffreestanding", *CORES[core]]
        for name in ("tiny_2.c", "qhn_binn.c"):
            command = [*zig.command, *flags, "-c", str(folder / name), "-o", str(tmp_path / "object.o")]
            run_tool(command, timeout_s=300)


class TestNames:
    @pytest.mark.parametrize(
        ("model_name", "expected"),
        [
            ("digits-3-7", "digits_3_7"),
            ("int", "int"),
            ("main", "main_model"),
            ("stdint", "stdint_model"),
            ("Math", "Math_model"),
            ("qhn-binn", "qhn_binn_model"),
            ("qhn", "qhn_model"),
            ("NUL", "NUL_model"),
        ],
    )
    def test_file_names_hide_nothing(self, model_name: str, expected: str) -> None:
        """A model's files replace no header of C, no file of the runtime, and no device."""
        assert c_name(model_name) == expected

    @pytest.mark.parametrize(
        "name", ["int", "main", "stdint", "qhn-binn", "layer-1", "TRACE", "label", "x" * 64]
    )
    def test_any_model_name_compiles(self, host_compiler: CompilerFound, name: str) -> None:
        """Keywords, names of headers and names that the code uses itself are fine as model names."""
        program = build(one_bit_model(name), host_compiler, optimize="-O0")
        assert program.feed("1\n-1").stdout.split() == [b"1", b"1", b"2", b"1", b"-1", b"0"]

    def test_hostile_class_names_arrive_unchanged(self, sanitizing_compiler: CompilerFound) -> None:
        """Class names with quotes, comments, trigraphs, control and non-ASCII characters keep their bytes."""
        driver = """
            #include <stdio.h>
            #include "m.h"
            int main(void)
            {
                for (uint32_t i = 0u; i < M_N_CLASSES; i++) { printf("%s\\001", M_CLASSES[i]); }
                return 0;
            }"""
        model = one_bit_model(classes=HOSTILE)
        printed = build(model, sanitizing_compiler, driver=driver, sanitize=True).feed("").stdout
        expected = [name.encode("utf-8", "surrogatepass").split(b"\0")[0] for name in HOSTILE]
        assert printed == b"".join(name + b"\1" for name in expected)

    @given(text=st.text())
    def test_string_literals_have_one_reading(self, text: str) -> None:
        """A literal is plain ASCII without quotes, trigraphs or line ends, and decodes to the text."""
        literal = string_literal(text)
        inside = literal[1:-1]
        assert literal[0] == literal[-1] == '"'
        assert re.fullmatch(r'(?:[^"\\?\x00-\x1f\x7f-\uffff]|\\[0-7]{3})*', inside)
        decoded = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), inside).encode("latin-1")
        assert decoded == text.encode("utf-8", "surrogatepass")

    def test_longest_string(self) -> None:
        """The longest string that C99 promises is taken, one byte more is refused."""
        assert string_literal("a" * MAX_LITERAL_BYTES)
        with pytest.raises(ExportError):
            string_literal("a" * (MAX_LITERAL_BYTES + 1))


class TestTables:
    def test_integers_are_c_constants(self) -> None:
        """INT32_MIN is not a literal in C; all other values are."""
        assert [integer(value) for value in (INT32_MIN, -1, INT32_MAX)] == ["INT32_MIN", "-1", "2147483647"]

    @given(items=st.lists(st.integers(INT32_MIN, INT32_MAX).map(str), min_size=1, max_size=200))
    def test_rows_keep_all_items_in_short_lines(self, items: list[str]) -> None:
        """Wrapping loses and reorders nothing and keeps to the line length."""
        text = rows(items)
        assert json.loads(f"[{text.rstrip().rstrip(',')}]") == [int(item) for item in items]
        assert max(len(line) for line in text.splitlines()) <= 110


@pytest.fixture(scope="module")
def byte_program(sanitizing_compiler: CompilerFound) -> Program:
    """A program that sums two uint8 features."""
    layer = Dense(np.array([[1, 1]], np.uint8), np.array([0]), (0, 1), Identity())
    model = Model("sum", Input(2, Encoder.uint8_bytes()), (layer,), Head("threshold", ("no", "yes")))
    return build(model, sanitizing_compiler, sanitize=True)


@pytest.fixture(scope="module")
def bit_program(sanitizing_compiler: CompilerFound) -> Program:
    """A program that sums two bits."""
    layer = Dense(np.array([[1, 1]], np.uint8), np.array([0]), (-1, 1), Identity())
    model = Model("sum", Input(2, Encoder.bits()), (layer,), Head("threshold", ("no", "yes")))
    return build(model, sanitizing_compiler, sanitize=True)


class TestHostProgram:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", ""),
            ("\n\n  \n", ""),
            ("1 2", "1 3\n"),
            ("1,2\n", "1 3\n"),
            ("1, 2\r\n\r\n\t3 ,, 4\r\n", "1 3\n1 7\n"),
            ("+1 -0\n255 255", "1 1\n1 510\n"),
            ("0000000000000000000000000000000001 2", "1 3\n"),
            (" " * 100_000 + "1" + "," * 100_000 + "2", "1 3\n"),
        ],
    )
    def test_accepted_texts(self, byte_program: Program, text: str, expected: str) -> None:
        """Blanks, commas, signs, empty lines, long lines and a missing final newline are all fine."""
        result = byte_program.feed(text)
        assert (result.returncode, result.stdout.decode(), result.stderr) == (0, expected, "")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("1", "line 1: fewer than 2 features"),
            ("1 2\n1 2 3", "line 2: more than 2 features"),
            ("1 2\n\n256 0", "line 3: a feature is out of range; expected 0 to 255"),
            ("-1 0", "line 1: a feature is out of range; expected 0 to 255"),
            ("9" * 10_000 + " 0", "line 1: a feature is out of range; expected 0 to 255"),
            ("-" + "9" * 10_000 + " 0", "line 1: a feature is out of range; expected 0 to 255"),
            ("1.5 2", "line 1: not an integer"),
            ("1 x", "line 1: not an integer"),
            ("- 1", "line 1: not an integer"),
            ("+", "line 1: not an integer"),
            ("1 1-1", "line 1: not an integer"),
            ("1 \0 2", "line 1: not an integer"),
            ("1 \u00ff", "line 1: not an integer"),
        ],
    )
    def test_refused_texts(self, byte_program: Program, text: str, message: str) -> None:
        """Anything else is one line on stderr with the line number, and exit status 2."""
        result = byte_program.feed(text)
        assert (result.returncode, result.stderr) == (2, message + "\n")

    @pytest.mark.parametrize("text", ["0 1", "2 1", "1 -2"])
    def test_bits_are_plus_or_minus_one(self, bit_program: Program, text: str) -> None:
        """A bit feature is -1 or 1, as for the interpreter."""
        result = bit_program.feed(text)
        assert (result.returncode, result.stderr) == (
            2,
            "line 1: a feature is out of range; expected -1 or 1\n",
        )

    def test_bits_are_summed(self, bit_program: Program) -> None:
        """All four inputs of two bits."""
        assert bit_program.feed("-1 -1\n-1 1\n1 -1\n1 1").stdout.split() == [
            *(b"0", b"-2"),
            *(b"1", b"0"),
            *(b"1", b"0"),
            *(b"1", b"2"),
        ]


class TestCMake:
    def test_cmake_builds_the_folder(self, host_compiler: CompilerFound, tmp_path: Path) -> None:
        """The exported CMakeLists.txt builds a program that answers."""
        cmake = shutil.which("cmake")
        if cmake is None or shutil.which("make") is None:
            pytest.skip("cmake or make is missing")
        model = one_bit_model("test")  # a plain target of this name is reserved in CMake
        folder = export_model(model, "c", tmp_path / "out")
        cc = f"-DCMAKE_C_COMPILER={host_compiler.command[0]}"
        run_tool(
            [cmake, "-S", str(folder), "-B", str(tmp_path / "b"), "-G", "Unix Makefiles", cc], timeout_s=120
        )
        run_tool([cmake, "--build", str(tmp_path / "b")], timeout_s=120)
        assert Program(tmp_path / "b" / "test_host").feed("1").stdout == b"1 1 2\n"


def test_readme_lists_every_feature(tmp_path: Path) -> None:
    """The exported README has each feature's name, scale and offset, whatever the name holds."""
    encoder = Encoder("int8", (0.5, 0.25, 2.0), (1.0, -3.0, 0.0), 32)
    names = ("a|b", "Ωm\nega", "\ud800 $x")
    layer = Dense(np.ones((1, 3), np.uint8), np.zeros(1, np.int32), (-1, 1), Identity())
    model = Model("m", Input(3, encoder, names), (layer,), Head("threshold", ("a", "b")))
    text = (export_model(model, "c", tmp_path / "out") / "README.md").read_text("ascii")
    assert "| 0 | a&#124;b | 0.5 | 1.0 |" in text
    assert "| 1 | &#937;m ega | 0.25 | -3.0 |" in text
    assert "| 2 | $x | 2.0 | 0.0 |" in text
