"""The commands boards, build and bench, as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import absent
from firmware_models import MODELS

from qhn2edge.boards.catalog import board_names, find_board
from qhn2edge.building.cross_compilers import find_cross_compiler
from qhn2edge.cli import run
from qhn2edge.errors import ToolError
from qhn2edge.model import save_model


@pytest.fixture(autouse=True)
def somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs in a folder of its own, which holds a model."""
    monkeypatch.chdir(tmp_path)
    save_model(MODELS["bits"], Path("net.model.json"))


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run the command line in this process; return exit code, standard output, standard error."""
    code = run(list(words))
    out, err = capsys.readouterr()
    return code, out, err


def call_json(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """Run a command with --json; it must succeed, print one document, and nothing else."""
    code, out, err = call(capsys, *words, "--json")
    assert (code, err) == (0, "")
    document: dict[str, Any] = json.loads(out)
    return document


class TestBoards:
    def test_table(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """The table lists every board with chip, clock, memory, flasher and emulators."""
        monkeypatch.setenv("COLUMNS", "80")
        code, out, err = call(capsys, "boards")
        assert (code, err) == (0, "")
        rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
        assert set(board_names()) <= rows.keys()
        assert " ".join(rows["cortex-m0"].split()) == "cortex-m0 generic m0 16 256/16 none unicorn"

    def test_document(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The JSON document holds the same, and whether each tool is found."""
        boards = {board["name"]: board for board in call_json(capsys, "boards")["boards"]}
        assert boards.keys() == set(board_names())
        m0 = boards["cortex-m0"]
        assert (m0["real"], m0["flash"], m0["ram_bytes"]) == (False, None, 16_384)
        assert m0["emulators"] == [{"name": "unicorn", "found": True}]
        assert m0["compiler"]["found"]

    def test_missing_tools(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """Without programs on the PATH, zig compiles, Unicorn is found, and simavr is marked as missing."""
        monkeypatch.setenv("PATH", "")
        boards = {board["name"]: board for board in call_json(capsys, "boards")["boards"]}
        assert boards["cortex-m0"]["compiler"] == {"name": "ziglang", "found": True}
        assert boards["cortex-m0"]["emulators"] == [{"name": "unicorn", "found": True}]
        assert boards["arduino-uno"]["flash"] == {"name": "avrdude", "found": False}


class TestBuild:
    def test_files_and_numbers(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The images and the list of them are in the folder; the numbers add up."""
        told = call_json(capsys, "build", "net.model.json", "--board", "cortex-m0", "--disassembly")
        assert told["folder"] == "net-cortex-m0"
        names = {path.name for path in Path("net-cortex-m0").iterdir()}
        images = {f"firmware.{suffix}" for suffix in ("elf", "hex", "bin", "json", "lst")}
        assert names == {*images, "model.json"}
        assert told["flash_bytes"] == told["text"] + told["data"]
        assert told["ram_bytes"] == told["data"] + told["bss"] + told["stack_bytes"]
        assert told["flash_percent"] == pytest.approx(100 * told["flash_bytes"] / 262_144, abs=0.01)
        assert told["digest"] == MODELS["bits"].digest

    def test_text(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The table tells bytes and percent of flash and RAM, the stack, and what to do next."""
        code, out, _ = call(capsys, "build", "net.model.json", "--board", "cortex-m0", "--out", "here")
        assert code == 0
        told = call_json(
            capsys, "build", "net.model.json", "--board", "cortex-m0", "--out", "here", "--replace"
        )
        for part in (f"{told['flash_bytes']:,}", "262,144", f"stack {told['stack_bytes']}", "qhn2edge bench"):
            assert part in out

    @pytest.mark.parametrize("compiler", ["gcc", "zig"])
    def test_compiler(self, capsys: pytest.CaptureFixture[str], compiler: str) -> None:
        """The compiler that was asked for is taken."""
        try:
            found = find_cross_compiler("cortex-m4", compiler)
        except ToolError as error:
            absent(str(error))
        told = call_json(capsys, "build", "net.model.json", "--board", "cortex-m4", "--compiler", compiler)
        assert told["compiler"] == found.version

    def test_own_board(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A user's own board file is taken by its path."""
        text = find_board("cortex-m3").source.read_text(encoding="utf-8")
        Path("mine.toml").write_text(text.replace('name = "cortex-m3"', 'name = "mine"'), encoding="utf-8")
        assert call_json(capsys, "build", "net.model.json", "--board", "mine.toml")["board"] == "mine"

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--board", "cortex-m1"], "unknown board: got cortex-m1"),
            (["--board", "none.toml"], "the board file none.toml does not exist"),
            (["--board", "cortex-m0", "--kernel", "magic"], "unknown kernel: got magic"),
            (["--board", "small.toml"], "does not fit the flash of small"),
            ([], "Missing option '--board'"),
        ],
    )
    def test_one_line(self, capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
        """What is impossible is one line and exit code 2, and leaves nothing behind."""
        text = find_board("cortex-m0").source.read_text(encoding="utf-8")
        text = text.replace('name = "cortex-m0"', 'name = "small"').replace("262_144", "1_024")
        Path("small.toml").write_text(text, encoding="utf-8")
        before = set(Path().iterdir())
        code, out, err = call(capsys, "build", "net.model.json", *words)
        assert (code, out) == (2, "")
        assert message in err
        assert err.count("\n") == 1
        assert set(Path().iterdir()) == before


class TestBench:
    def test_counts(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The document has the least and the most of every layer and of the whole, the same on every run."""
        words = ("bench", "net.model.json", "--board", "cortex-m0", "--vectors", "5")
        told = call_json(capsys, *words)
        assert told == call_json(capsys, *words)
        assert (told["unit"], told["emulator"], told["vectors"]) == ("instructions", "unicorn", 5)
        assert len(told["layers"]) == len(MODELS["bits"].layers)
        assert sum(layer["most"] for layer in told["layers"]) < told["total"]["most"]
        assert all(part["least"] <= part["most"] for part in (*told["layers"], told["total"]))
        assert told["stack_bytes"] < told["sizes"]["ram_bytes"]

    def test_text(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The table has a row a layer with its shape, the rest, and the total."""
        code, out, _ = call(capsys, "bench", "net.model.json", "--board", "rv32", "--vectors", "2")
        assert code == 0
        for part in ("layer 1, 70 -> 33", "layer 2, 33 -> 5", "head and calls", "total", "100.0", "stack"):
            assert part in out

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--board", "cortex-m0", "--vectors", "0"], "the vectors are impossible"),
            (["--board", "cortex-m0", "--emulator", "qemu"], "is not emulated by that: got qemu"),
        ],
    )
    def test_one_line(self, capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
        """What is impossible is one line and exit code 2."""
        code, out, err = call(capsys, "bench", "net.model.json", *words)
        assert (code, out) == (2, "")
        assert message in err
        assert err.count("\n") == 1
