"""Known vectors and the choice of C text by the preprocessor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from package_programs import bit_model, int8_model
from strategies import models, random_dense

from qhn2edge import interpreter
from qhn2edge.backends import packages
from qhn2edge.backends.c_options import PORTABLE, COptions
from qhn2edge.backends.known_answers import MAX_BYTES, MAX_VECTORS, MIN_VECTORS, known_answers
from qhn2edge.backends.packages import ALL_CORES, CORE_MACROS, c_sources, select_by_macro
from qhn2edge.backends.to_c import emit
from qhn2edge.data.encoder import Encoder
from qhn2edge.layers import Dense, Identity
from qhn2edge.model import Head, Input, Model
from qhn2edge.toolchain import C_FLAGS, CompilerFound, run_tool


class TestKnownAnswers:
    @settings(max_examples=60, deadline=None)
    @given(model=models())
    def test_are_the_interpreters(self, model: Model) -> None:
        """Inputs are valid, different, and always the same; labels and logits are the interpreter's."""
        answers = known_answers(model)
        assert np.array_equal(answers.logits, interpreter.logits(model, answers.x))
        assert np.array_equal(answers.labels, interpreter.class_indices(model, answers.logits))
        assert len(np.unique(answers.x, axis=0)) == len(answers) <= MAX_VECTORS
        assert len(answers) >= min(MIN_VECTORS, 2**model.input.n_bits)
        assert np.array_equal(answers.x, known_answers(model).x)

    def test_are_of_many_classes(self) -> None:
        """A network that sorts by one feature has vectors of both classes, half of each."""
        layer = Dense(np.array([[1, 0]], np.uint8), np.zeros(1, np.int32), (0, 1), Identity())
        model = Model("m", Input(2, Encoder.int8_fixed()), (layer,), Head("threshold", ("a", "b")))
        assert np.bincount(known_answers(model).labels).tolist() == [4, 4]

    def test_cover_every_class_where_eight_suffice(self) -> None:
        """All four classes that a network has are among the eight vectors."""
        layer = random_dense(np.random.default_rng(3), 30, 4, (-1, 1), Identity())
        model = Model("m", Input(30, Encoder.bits()), (layer,), Head("argmax", tuple("abcd")))
        assert set(known_answers(model).labels.tolist()) == {0, 1, 2, 3}

    @pytest.mark.parametrize(("n", "expected"), [(512, 8), (513, 7), (784, 5), (2048, 2), (65535, 2)])
    def test_size_is_bounded(self, n: int, expected: int) -> None:
        """Vectors take at most 4096 bytes, unless there would be fewer than two."""
        layer = random_dense(np.random.default_rng(0), n, 2, (-1, 1), Identity())
        model = Model("m", Input(n, Encoder.bits()), (layer,), Head("argmax", ("a", "b")))
        answers = known_answers(model)
        assert len(answers) == expected
        assert answers.x.size <= max(MAX_BYTES, MIN_VECTORS * n)

    def test_a_single_bit_has_two_inputs(self) -> None:
        """A network of one bit feature has no more than its two inputs."""
        layer = random_dense(np.random.default_rng(0), 1, 2, (-1, 1), Identity())
        model = Model("m", Input(1, Encoder.bits()), (layer,), Head("argmax", ("a", "b")))
        assert sorted(known_answers(model).x.ravel().tolist()) == [-1, 1]


def preprocessed(text: str, compiler: CompilerFound, folder: Path, *flags: str) -> list[str]:
    source = folder / "text.c"
    source.write_text(text)
    command = [*compiler.command, "-E", "-P", *flags, str(source)]
    return run_tool(command, timeout_s=60).stdout.decode().split()


class TestSelectByMacro:
    def test_one_text_needs_no_choice(self) -> None:
        """Where every variant is the portable text, it is written once, unchanged."""
        assert select_by_macro({"A": "x\n", "B": "x\n"}, "x\n") == "x\n"

    @pytest.mark.parametrize(
        ("defined", "expected"),
        [("A", "one"), ("B", "two"), ("C", "one"), ("D", "other"), ("E", "other")],
    )
    def test_compiler_takes_the_right_text(
        self, host_compiler: CompilerFound, tmp_path: Path, defined: str, expected: str
    ) -> None:
        """The preprocessor yields the variant whose condition holds, else the portable text."""
        variants = {
            "defined(A)": "one\n",
            "defined(B)": "two\n",
            "defined(C)": "one\n",
            "defined(D)": "other\n",
        }
        text = select_by_macro(variants, "other\n")
        assert preprocessed(text, host_compiler, tmp_path, f"-D{defined}") == [expected]
        assert text.count("one") == 1

    def test_conditions_are_of_known_cores(self) -> None:
        """Each condition belongs to a core that C can be generated for."""
        assert all(COptions(core=core).core == core for core in CORE_MACROS)


class TestSources:
    def emitted(self, model: Model, folder: Path, options: COptions) -> dict[str, str]:
        emit(model, folder, options)
        paths = [path for path in folder.iterdir() if path.suffix in {".c", ".h"} and path.name != "main.c"]
        return {path.name: path.read_text() for path in paths}

    @pytest.mark.parametrize("core", ALL_CORES)
    def test_a_named_core_gives_its_files_alone(self, core: str, tmp_path: Path) -> None:
        """With a core in the options a package holds that core's C export, file by file."""
        model, options = int8_model(), COptions(core=core)
        assert c_sources(model, options, ALL_CORES) == self.emitted(model, tmp_path, options)

    def test_else_any_core_is_served(self, host_compiler: CompilerFound, tmp_path: Path) -> None:
        """Without a core, a compiler for a host takes the portable text out of each file."""
        model = bit_model()
        portable = self.emitted(model, tmp_path, PORTABLE)
        files = c_sources(model, PORTABLE, ALL_CORES)
        assert set(files) >= set(portable)
        for name, text in portable.items():
            found = preprocessed(without_includes(files[name]), host_compiler, tmp_path)
            assert found == preprocessed(without_includes(text), host_compiler, tmp_path)

    def test_files_of_some_cores_only(
        self, host_compiler: CompilerFound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file that only some cores have is empty for the others, but still a C file by the standard."""

        def emit_more(model: Model, folder: Path, options: COptions) -> None:
            emit(model, folder, options)
            if options.core == "avr":
                (folder / "only_avr.c").write_text("int only_avr = 1;\n")
                (folder / "only_avr.h").write_text("extern int only_avr;\n")

        monkeypatch.setattr(packages, "emit_c", emit_more)
        files = c_sources(bit_model(), PORTABLE, ALL_CORES)
        source = tmp_path / "only_avr.c"
        source.write_text(files["only_avr.c"])
        strict = [*host_compiler.command, *C_FLAGS, "-Werror", "-c", str(source), "-o", str(tmp_path / "o.o")]
        run_tool(strict, timeout_s=60)
        assert preprocessed(files["only_avr.h"], host_compiler, tmp_path) == []
        avr = preprocessed(files["only_avr.c"], host_compiler, tmp_path, "-D__AVR__")
        assert avr == ["int", "only_avr", "=", "1;"]


def without_includes(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("#include"))
