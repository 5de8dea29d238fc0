"""``qhn2edge flash`` on the command line, without a board."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from flash_boards import board_file, small_model

from qhn2edge import cli
from qhn2edge.boards.catalog import find_board
from qhn2edge.building.firmware import build_firmware
from qhn2edge.building.manifest import MANIFEST
from qhn2edge.flashing.uf2_copy import INFO
from qhn2edge.model import save_model
from qhn2edge.storage import sha256


@pytest.fixture
def pico(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a board that is flashed by UF2, its drive, and a model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "drive").mkdir()
    (tmp_path / "drive" / INFO).write_text("Board-ID: RPI-RP2\n")
    save_model(small_model(), tmp_path / "small.model.json")
    return board_file(tmp_path, "uf2-copy", board_id='"RPI-RP2"')


def run(*words: object) -> int:
    return cli.run(["flash", *map(str, words)])


class TestSuccess:
    def test_builds_flashes_and_says_what_is_next(
        self, pico: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A model is built into a folder of its own, written, and the next command is one to type."""
        assert run("small.model.json", "--board", pico, "--port", "drive") == 0
        built = tmp_path / "small-cortex-m0" / "firmware.uf2"
        assert (tmp_path / "drive" / "firmware.uf2").read_bytes() == built.read_bytes()
        shown = capsys.readouterr()
        first, following = shown.out.splitlines()
        assert first.startswith("wrote firmware.uf2 into Cortex-M0, emulated in ")
        assert following == f"next     qhn2edge verify small.model.json --board {pico} --port PORT"
        assert shown.err.startswith("built small-cortex-m0: ")

    def test_again_builds_again(self, pico: Path) -> None:
        """The folder of the last build is replaced."""
        for _ in range(2):
            assert run("small.model.json", "--board", pico, "--port", "drive") == 0

    def test_json(self, pico: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The document tells what was written where, and nothing else is on standard output."""
        assert run("small.model.json", "--board", pico, "--port", "drive", "--json") == 0
        document = json.loads(capsys.readouterr().out)
        image = tmp_path / "small-cortex-m0" / "firmware.uf2"
        assert document["image"] == str(image)
        assert document["image_digest"] == sha256(image.read_bytes())
        assert document["model_digest"] == small_model().digest
        assert document["tool"] == "uf2-copy"
        assert document["flashed"] is True
        assert document["seconds"] >= 0

    @pytest.mark.parametrize("source", ["fw", None])
    def test_flashes_what_was_built(
        self, pico: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str | None
    ) -> None:
        """A build's folder, or the present folder, is taken as it is."""
        firmware = build_firmware(small_model(), find_board(str(pico)), tmp_path / "fw")
        assert firmware.uf2 is not None
        if source is None:
            monkeypatch.chdir(tmp_path / "fw")
        words = ["--board", pico, "--port", tmp_path / "drive"]
        assert run(*([source] if source else []), *words) == 0
        assert (tmp_path / "drive" / "firmware.uf2").read_bytes() == firmware.uf2.read_bytes()


class TestDryRun:
    def test_prints_the_command_alone(
        self, pico: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Standard output is one line for a shell; nothing is built or written, which is told beside it."""
        assert run("small.model.json", "--board", pico, "--port", "drive", "--dry-run") == 0
        image = tmp_path / "small-cortex-m0" / "firmware.uf2"
        shown = capsys.readouterr()
        assert shlex.split(shown.out) == ["cp", str(image), "drive"]
        assert shown.err == f"nothing is built in a dry run; without --dry-run {image} would be built first\n"
        assert not image.parent.exists()
        assert not (tmp_path / "drive" / "firmware.uf2").exists()

    def test_is_the_command_of_what_was_built(
        self, pico: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Where the build is there already it is checked, and the command and its document are of it."""
        words = ("small.model.json", "--board", pico, "--port", "drive", "--dry-run", "--json")
        assert run(*words) == 0
        before = json.loads(capsys.readouterr().out)
        firmware = build_firmware(small_model(), find_board(str(pico)), tmp_path / "small-cortex-m0")
        assert run(*words) == 0
        after = json.loads(capsys.readouterr().out)
        assert (before["built"], before["image_digest"], after["built"]) == (False, None, True)
        assert firmware.uf2 is not None
        assert after["image_digest"] == sha256(firmware.uf2.read_bytes())
        same = ("command", "image", "model_digest", "port")
        assert [before[key] for key in same] == [after[key] for key in same]

    @pytest.mark.parametrize("board", ["arduino-uno", "arduino-mega", "esp32c3-devkit"])
    def test_a_serial_port_need_not_be_named(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        board: str,
    ) -> None:
        """Without --port the command has the word PORT in its place, and it is told what that stands for."""
        monkeypatch.chdir(tmp_path)
        save_model(small_model(), tmp_path / "m.json")
        assert run("m.json", "--board", board, "--dry-run") == 0
        shown = capsys.readouterr()
        assert "PORT" in shlex.split(shown.out)
        assert shown.err.startswith("PORT stands for the board's serial port, which --port names\n")
        assert run("m.json", "--board", board, "--dry-run", "--json") == 0
        assert json.loads(capsys.readouterr().out)["port"] is None

    def test_is_quoted_for_a_shell(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Blanks and brackets in paths survive the shell, and are no markup; the port need not exist."""
        folder = tmp_path / "my [bold] models; $HOME"
        folder.mkdir()
        monkeypatch.chdir(folder)
        save_model(small_model(), folder / "m.json")
        board = board_file(folder, "avrdude", part='"m328p"', programmer='"arduino"')
        assert run("m.json", "--board", board, "--port", "/dev/none", "--dry-run", "--json") == 0
        document = json.loads(capsys.readouterr().out)
        assert document["flashed"] is False
        assert document["seconds"] is None
        assert run("m.json", "--board", board, "--port", "/dev/none", "--dry-run") == 0
        line = capsys.readouterr().out.rstrip("\n")
        assert line == document["command_line"]
        assert shlex.split(line) == document["command"]
        assert str(folder) in shlex.split(line)[-1]


class TestRefusals:
    def error(self, capsys: pytest.CaptureFixture[str]) -> str:
        """Return the one line of the error."""
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("qhn2edge: error: ")
        return line

    def test_an_image_for_another_board(
        self, pico: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Firmware goes only into the board that it was built for."""
        build_firmware(small_model(), find_board("cortex-m4"), tmp_path / "fw")
        assert run("fw", "--board", pico, "--port", "drive") == 2
        assert "is of another board: got cortex-m4, expected cortex-m0" in self.error(capsys)
        assert not (tmp_path / "drive" / "firmware.uf2").exists()

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"board": "cortex-m0"}', "null"])
    def test_a_damaged_record(
        self, pico: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
    ) -> None:
        """A build whose record cannot be read is not flashed."""
        (tmp_path / "fw").mkdir()
        (tmp_path / "fw" / MANIFEST).write_text(text)
        assert run("fw", "--board", pico, "--port", "drive") == 2
        assert "damaged" in self.error(capsys)

    def test_an_image_that_was_changed(
        self, pico: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A build whose files are no longer those that were built is not flashed."""
        build_firmware(small_model(), find_board(str(pico)), tmp_path / "fw")
        with (tmp_path / "fw" / "firmware.uf2").open("ab") as stream:
            stream.write(b"x")
        assert run("fw", "--board", pico, "--port", "drive") == 2
        assert "was changed" in self.error(capsys)

    def test_a_folder_without_firmware(self, pico: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The present folder is no build: the message says what is needed."""
        assert run("--board", pico, "--port", "drive") == 2
        assert "expected a model file, or a folder that qhn2edge build made" in self.error(capsys)

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("none.json", "--board", "own.toml"), "none.json does not exist"),
            (("small.model.json", "--board", "cortex-m0"), "exists only as an emulation"),
            (("small.model.json", "--board", "none"), "unknown board: got none"),
            (("small.model.json", "--board", "own.toml", "--port", "nowhere"), "there is no folder nowhere"),
            (("small.model.json", "--board", "own.toml", "--timeout", "0"), "--timeout"),
            (("small.model.json",), "--board"),
        ],
    )
    @pytest.mark.usefixtures("pico")
    def test_impossible_requests(
        self, words: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """One line and exit code 2, before anything is built."""
        assert run(*words) == 2
        assert said in self.error(capsys)
        assert not (tmp_path / "small-cortex-m0").exists()

    def test_a_serial_port_is_needed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Before anything is built the missing port is told."""
        monkeypatch.chdir(tmp_path)
        save_model(small_model(), tmp_path / "m.json")
        board = board_file(tmp_path, "avrdude", part='"m328p"', programmer='"arduino"')
        assert run("m.json", "--board", board) == 2
        assert "avrdude needs the board's serial port" in self.error(capsys)
        assert not (tmp_path / "small-cortex-m0").exists()
