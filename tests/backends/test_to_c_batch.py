"""The C for many inputs at once against the interpreter: every width of vectors, any batch, any model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from c_batch_programs import WIDTHS, assert_equal_to_interpreter, build
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_strategies import image_models
from strategies import ENCODERS, models, random_dense, random_inputs

from qhn2edge.backends import BACKENDS, export_model, target_of
from qhn2edge.backends.to_c_batch import BLOCK_UNITS, LIBRARY_FILES, blocks_of_words, emit
from qhn2edge.errors import ExportError
from qhn2edge.layers import Activation, Affine, Dense, Identity, Relu, Sign, Table, unpack_bits
from qhn2edge.model import Head, Input, Model
from qhn2edge.toolchain import CompilerFound, compile_c, compiler_at, run_tool
from qhn2edge.verify.run_c_batch import native_flags
from qhn2edge.verify.vectors import corners, extremes

LAW = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
TARGETS = [(), native_flags()] if native_flags() else [()]
"""Portable instructions, and this machine's."""


def model_of(kind: str, widths: list[int], hidden: Activation, *, name: str = "case", seed: int = 0) -> Model:
    """Return a random model of +-1 weights with one kind of hidden activation."""
    rng = np.random.default_rng(seed)
    acts: list[Activation] = [*[hidden] * (len(widths) - 2), Identity()]
    layers = tuple(
        random_dense(rng, n_in, n_out, (-1, 1), act)
        for n_in, n_out, act in zip(widths, widths[1:], acts, strict=False)
    )
    head = Head("argmax", tuple(f"class {i}" for i in range(widths[-1])))
    return Model(name, Input(widths[0], ENCODERS[kind]), layers, head)


def mixed_model(kind: str = "bit") -> Model:
    """Return a model with every activation and several pairs of levels."""
    rng = np.random.default_rng(7)
    layers = (
        random_dense(rng, 77, 40, (-1, 1), Sign()),
        random_dense(rng, 40, 33, (-3, 1), Relu(shift=1, clip_bits=6)),
        random_dense(rng, 33, 17, (0, 1), Table(-20, tuple(range(-20, 21)), "steps")),
        random_dense(rng, 17, 20, (-1, 1), Relu()),
        random_dense(rng, 20, 3, (-128, 127), Affine((-3, 2, 700), (5, -9, 2**20))),
    )
    return Model("mixed-5", Input(77, ENCODERS[kind]), layers, Head("argmax", ("no", "maybe", "yes")))


class TestEqualIntegers:
    @settings(LAW, max_examples=12)
    @given(
        widths=st.lists(st.integers(1, 200), min_size=1, max_size=4),
        n_classes=st.integers(2, 40),
        n=st.integers(1, 700),
        bits=st.sampled_from(WIDTHS),
        target=st.sampled_from(TARGETS),
        seed=st.integers(0, 2**32 - 1),
    )
    def test_bits_and_signs(
        self,
        sanitizing_compiler: CompilerFound,
        widths: list[int],
        n_classes: int,
        n: int,
        bits: int,
        target: tuple[str, ...],
        seed: int,
    ) -> None:
        """Bits and signs of any widths, any number of rows and any vectors: the interpreter's integers."""
        model = model_of("bit", [*widths, n_classes], Sign(), seed=seed)
        flags = ("-O1", *target, f"-DQHN_BATCH_BITS={bits}")
        program = build(model, sanitizing_compiler, flags, sanitize=True)
        assert_equal_to_interpreter(program, model, random_inputs(model, n, seed))

    @settings(LAW, max_examples=40)
    @given(
        model=st.one_of(models(), image_models()),
        n=st.integers(1, 60),
        bits=st.sampled_from(WIDTHS),
        target=st.sampled_from(TARGETS),
        seed=st.integers(0, 2**32 - 1),
    )
    def test_any_model(
        self,
        sanitizing_compiler: CompilerFound,
        model: Model,
        n: int,
        bits: int,
        target: tuple[str, ...],
        seed: int,
    ) -> None:
        """Every input, pair of levels, activation, head, bias, window and pooling is computed exactly."""
        flags = ("-O1", *target, f"-DQHN_BATCH_BITS={bits}")
        program = build(model, sanitizing_compiler, flags, sanitize=True)
        x = np.concatenate([corners(model.input), random_inputs(model, n, seed)])
        assert_equal_to_interpreter(program, model, x)

    @pytest.mark.parametrize("bits", WIDTHS)
    @pytest.mark.parametrize("target", TARGETS, ids=lambda flags: "".join(flags) or "portable")
    def test_longest_rows(
        self, sanitizing_compiler: CompilerFound, bits: int, target: tuple[str, ...]
    ) -> None:
        """Rows about the point where counts leave their bytes, and the longest, at both ends of the range."""
        for n_features in (31 * 32 + 1, 248 * 32, 248 * 32 + 1, 65_535):
            model = model_of("bit", [n_features, 2], Sign())
            flags = ("-O1", *target, f"-DQHN_BATCH_BITS={bits}")
            program = build(model, sanitizing_compiler, flags, sanitize=True)
            x = np.concatenate([extremes(model.input, model.dense_layers[0]), random_inputs(model, 2, 0)])
            assert_equal_to_interpreter(program, model, x)

    def test_every_remainder_of_rows(self, sanitizing_compiler: CompilerFound) -> None:
        """No row, one row and numbers of rows that do not fill a step read and write these rows only."""
        model = mixed_model()
        program = build(model, sanitizing_compiler, ("-O1",), sanitize=True)
        x = random_inputs(model, 9, 3)
        for n in range(10):
            assert_equal_to_interpreter(program, model, x[:n])


class TestCompilers:
    @pytest.mark.parametrize("optimize", ["-O0", "-O3"])
    @pytest.mark.parametrize("name", ["host", "clang", "zig"])
    def test_no_warning_and_the_same_integers(
        self, request: pytest.FixtureRequest, name: str, optimize: str
    ) -> None:
        """Three compilers take the files without a warning to the same integers."""
        compiler = _compiler(request, name)
        for kind in ENCODERS:
            model = mixed_model(kind)
            program = build(model, compiler, (optimize, *native_flags()))
            assert_equal_to_interpreter(program, model, random_inputs(model, 21, 5))


class TestFiles:
    def test_program_answers_as_the_driver(self, host_compiler: CompilerFound, tmp_path: Path) -> None:
        """The exported program prints labels and logits of more lines than fit into one of its batches."""
        model = mixed_model("int8")
        emit(model, tmp_path)
        program = compile_c(tmp_path, tmp_path, compiler=host_compiler, defines=["MAIN_ROWS=7"])
        x = random_inputs(model, 20, 1)
        text = "\n".join(" ".join(map(str, row)) for row in x.tolist())
        printed = run_tool([str(program)], input=text.encode(), timeout_s=60).stdout.decode()
        expected = build(model, host_compiler, ("-O1",))
        rows = run_tool([str(expected), "20"], input=x.astype(np.uint8).tobytes(), timeout_s=60)
        assert printed == rows.stdout.decode()

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("1 -1", "line 2: fewer than 3 features"),
            ("1 1 1 1", "line 2: more than 3 features"),
            ("1 0 1", "line 2: a feature is out of range; expected -1 or 1"),
            ("1 x 1", "line 2: not an integer"),
        ],
    )
    def test_program_refuses_wrong_lines(
        self, host_compiler: CompilerFound, tmp_path: Path, line: str, message: str
    ) -> None:
        """A wrong line ends the program with its number and exit status 2."""
        emit(model_of("bit", [3, 2], Sign()), tmp_path)
        program = compile_c(tmp_path, tmp_path, compiler=host_compiler, optimize="-O0")
        result = run_tool([str(program)], input=f"1 1 1\n{line}\n".encode(), timeout_s=60, check=False)
        assert (result.returncode, result.stderr.strip()) == (2, message)

    def test_words_of_units_lie_side_by_side(self) -> None:
        """Word j of unit 16 b + k is at [b, j, k]; the units that fill the last block are 0."""
        layer = random_dense(np.random.default_rng(0), 70, 21, (-1, 1), Identity())
        blocks = blocks_of_words(layer)
        assert blocks.shape == (2, 3, BLOCK_UNITS)
        rows = blocks.transpose(0, 2, 1).reshape(-1, 3)
        np.testing.assert_array_equal(unpack_bits(rows[:21], 70), layer.weights_bin)
        assert not rows[21:].any()

    def test_folder_tells_its_target(self, tmp_path: Path) -> None:
        """A folder holds the files that its emitter names, tells its target, and equal models are equal."""
        one, two = (export_model(mixed_model(), "c-batch", tmp_path / n) for n in ("one", "two"))
        names = sorted(path.name for path in one.iterdir())
        assert names == sorted(["mixed_5_batch.h", "mixed_5_batch.c", "main.c", "CMakeLists.txt",
                                "README.md", "model.json", *LIBRARY_FILES])  # fmt: skip
        assert target_of(one) == "c-batch"
        assert BACKENDS["c-batch"].name == "c-batch"
        assert all((one / name).read_bytes() == (two / name).read_bytes() for name in names)
        assert mixed_model().digest in (one / "mixed_5_batch.h").read_text()

    def test_name_like_the_library(self, host_compiler: CompilerFound) -> None:
        """A model may be called as the library is."""
        model = model_of("bit", [3, 2], Sign(), name="qhn")
        assert_equal_to_interpreter(build(model, host_compiler, ("-O0",)), model, random_inputs(model, 3, 0))

    def test_class_names_of_any_text(self, host_compiler: CompilerFound, tmp_path: Path) -> None:
        """Class names that look like C, comments or templates, or are not ASCII, break no file."""
        names = ('"); evil(); //', "*/ int x; /*", "??/", "a\\", "\n\0b", "Ωμέγα 🦊", "\ud800", "$name", "")
        base = model_of("bit", [3, len(names)], Sign())
        model = Model("m", base.input, base.layers, Head("argmax", names))
        folder = export_model(model, "c-batch", tmp_path / "out")
        assert "Ωμέγα" in (folder / "README.md").read_text(encoding="utf-8")
        (folder / "m_batch.c").read_text(encoding="ascii")
        assert_equal_to_interpreter(build(model, host_compiler, ("-O0",)), model, random_inputs(model, 3, 0))

    def test_long_class_name_is_refused(self, tmp_path: Path) -> None:
        """A class name that no C string can hold leaves no folder."""
        layers = (Dense(np.ones((2, 3), dtype=np.uint8), np.zeros(2, dtype=np.int32), (-1, 1), Identity()),)
        model = Model("m", Input(3, ENCODERS["bit"]), layers, Head("argmax", ("a", "b" * 5000)))
        with pytest.raises(ExportError, match="too long for a C string"):
            export_model(model, "c-batch", tmp_path / "out")
        assert not list(tmp_path.iterdir())


def _compiler(request: pytest.FixtureRequest, name: str) -> CompilerFound:
    if name != "clang":
        found: CompilerFound = request.getfixturevalue({"host": "host_compiler"}.get(name, name))
        return found
    clang = compiler_at("clang", "clang")
    if clang is None:
        pytest.skip("clang is missing")
    return clang
