"""How C is to be generated: the words, and the command line that says them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_kernels import network

from qhn2edge.backends.c_kernels import KERNELS
from qhn2edge.backends.c_options import CORES, PORTABLE, COptions
from qhn2edge.backends.c_options import KERNELS as WORDS
from qhn2edge.cli import cli
from qhn2edge.errors import ExportError
from qhn2edge.layers import Sign
from qhn2edge.model import save_model


class TestWords:
    @pytest.mark.parametrize("core", [None, *CORES])
    def test_known_words(self, core: str | None) -> None:
        """Every core, kernel and optimisation makes options; equal words make equal options."""
        for kernel in WORDS:
            for optimize in ("speed", "size"):
                assert COptions(core, kernel, optimize) == COptions(core, kernel, optimize)
        assert COptions() == PORTABLE == COptions(None, "auto", "speed")

    def test_every_kernel_has_a_word(self) -> None:
        """The words are the kernels' names, and auto."""
        assert ("auto", *KERNELS) == WORDS

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ({"core": "Cortex-M4"}, "unknown core: got Cortex-M4, expected one of cortex-m0, "),
            ({"kernel": "nibble"}, "unknown kernel: got nibble, expected one of auto, xnor, "),
            ({"optimize": "sizes"}, "unknown optimisation: got sizes, expected one of speed, size."),
        ],
    )
    def test_unknown_words(self, words: dict[str, str], message: str) -> None:
        """An unknown word is answered with the known ones and the nearest."""
        with pytest.raises(ExportError) as caught:
            COptions(**words)
        assert str(caught.value).startswith(message)
        assert "Did you mean " in str(caught.value)


class TestCommand:
    def run(self, tmp_path: Path, *words: str) -> tuple[int, str, Path]:
        """Export a model of bits; return the exit status, the output and the folder."""
        model, folder = (
            save_model(network("bit", (64, 32, 10), Sign()), tmp_path / "m.json"),
            tmp_path / "out",
        )
        result = CliRunner().invoke(cli, ["export", str(model), "--out", str(folder), *words])
        return result.exit_code, result.output + str(result.exception or ""), folder

    def test_core_chooses_its_kernels(self, tmp_path: Path) -> None:
        """--core makes the C of that core; its text names the kernels."""
        status, _, folder = self.run(tmp_path, "--core", "cortex-m0")
        assert status == 0
        text = (folder / "net.c").read_text()
        assert "Kernel: triples" in text
        assert "Kernel: nibbles" in text

    def test_size_and_kernel(self, tmp_path: Path) -> None:
        """--optimize size takes the smallest kernel, and --kernel the one that was asked for."""
        _, output, folder = self.run(tmp_path, "--core", "cortex-m4", "--optimize", "size", "--json")
        assert json.loads(output)["folder"] == str(folder)
        assert "Kernel: xnor" in (folder / "net.c").read_text()
        self.run(tmp_path, "--kernel", "sliced", "--replace")
        assert (folder / "net.c").read_text().count("Kernel: sliced") == 2

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("--kernel", "masks"), "the kernel masks fits no layer of this model"),
            (("--core", "z80"), "unknown core: got z80"),
            (("--target", "verilog", "--core", "avr"), "--core, --kernel and --optimize are for C"),
        ],
    )
    def test_impossible_requests(self, tmp_path: Path, words: tuple[str, ...], message: str) -> None:
        """What cannot be is one clear error, and nothing is written."""
        status, output, folder = self.run(tmp_path, *words)
        assert status != 0
        assert message in output
        assert not folder.exists()
