"""Really run: esptool against an ESP32-C3 that this test plays on a pseudo-terminal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from fake_esp_rom import Chip, FakeEspRom
from flash_boards import ARGUMENTS, board_file, board_with, firmware_for, small_model

from qhn2edge import cli
from qhn2edge.errors import FlashError
from qhn2edge.flashing.plan import plan_flash
from qhn2edge.model import save_model

OFFSET = 0x10000


@pytest.fixture(autouse=True)
def _esptool(need: Callable[[str], ModuleType]) -> None:
    need("esptool")


def flash(chip: Chip, timeout_s: float = 60.0) -> bytes:
    """Flash firmware into a chip; return the image."""
    firmware = firmware_for(board_with("esptool", {**ARGUMENTS["esptool"], "offset": OFFSET}))
    with FakeEspRom(chip) as rom:
        plan_flash(firmware, rom.port).carry_out(timeout_s)
    return firmware.bin.read_bytes()


def test_the_command_builds_and_writes_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a model to the chip's flash: the built bytes lie at the offset, all else is erased."""
    monkeypatch.chdir(tmp_path)
    board = board_file(tmp_path, "esptool", chip='"esp32c3"', offset=hex(OFFSET))
    save_model(small_model(), tmp_path / "small.model.json")
    chip = Chip()
    with FakeEspRom(chip) as rom:
        words = ["flash", "small.model.json", "--board", str(board), "--port", rom.port]
        assert cli.run([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    image = Path(document["image"]).read_bytes()
    end = OFFSET + len(image)
    assert document["flashed"] is True
    assert document["model_digest"] == small_model().digest
    assert chip.runs_stub
    assert chip.flash[OFFSET:end] == image
    assert set(chip.flash[:OFFSET]) == {0xFF}
    assert set(chip.flash[end + 3 :]) == {0xFF}  # esptool fills words


def test_the_whole_image_arrives() -> None:
    """The flash holds every built byte."""
    chip = Chip()
    image = flash(chip)
    assert chip.flash[OFFSET : OFFSET + len(image)] == image


def test_a_damaged_write_is_noticed() -> None:
    """One wrong bit in the flash is a failure, with esptool's own words."""
    with pytest.raises(FlashError, match="MD5 of file does not match data in flash"):
        flash(Chip(damages=True))


def test_another_chip_is_refused() -> None:
    """An ESP32-S3 is not overwritten with an image for the C3."""
    chip = Chip(chip_id=9)
    with pytest.raises(FlashError, match="This chip is ESP32-S3, not ESP32-C3"):
        flash(chip)
    assert set(chip.flash) == {0xFF}


def test_a_chip_that_falls_silent() -> None:
    """A board that is unplugged while it is written ends the command, not the patience."""
    with pytest.raises(FlashError, match="esptool (did not flash the board|ran out of time)"):
        flash(Chip(dies=True), timeout_s=20.0)
