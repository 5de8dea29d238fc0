"""UF2 drives: found by what they say they are, filled whole or not at all."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path

import pytest
from flash_boards import board_with, firmware_for

from qhn2edge.errors import FlashError
from qhn2edge.flashing import uf2_copy
from qhn2edge.flashing.plan import FlashPlan, plan_flash
from qhn2edge.flashing.uf2_copy import INFO, board_id_of

PICO = "UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n"


def make_drive(folder: Path, info: str = PICO) -> Path:
    folder.mkdir(parents=True)
    (folder / INFO).write_text(info)
    (folder / "INDEX.HTM").write_text("<html>")
    return folder


def plan(port: Path | None = None) -> FlashPlan:
    return plan_flash(firmware_for(board_with("uf2-copy")), None if port is None else str(port))


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that stands for the place where this system mounts drives."""
    place = tmp_path / "media"
    place.mkdir()
    monkeypatch.setattr(uf2_copy, "_mounted", lambda: iter(sorted(place.glob("*"))))
    return place


def failing_write(number: int, leaves: Path | None = None) -> object:
    """Return a stand-in for ``_write`` that fails at its end; ``leaves``: the drive goes away then."""

    def write(path: Path, content: bytes, _end: float) -> None:
        path.write_bytes(content)
        if leaves:
            for file in leaves.iterdir():
                file.unlink()
        raise OSError(number, os.strerror(number))

    return write


class TestBoardId:
    @pytest.mark.parametrize(
        ("info", "found"),
        [
            (PICO, "RPI-RP2"),
            ("Board-ID: nRF52840-Feather-revD \n", "nRF52840-Feather-revD"),
            ("Model: X\nBoard-ID:Y\n", "Y"),
            ("Model: Board-ID: no\n", None),
            ("Board-ID:\n", None),
            ("", None),
        ],
    )
    def test_is_read_from_the_info_file(self, tmp_path: Path, info: str, found: str | None) -> None:
        """The line ``Board-ID:`` counts, with or without carriage returns; without it there is none."""
        assert board_id_of(make_drive(tmp_path / "d", info)) == found

    def test_other_folders_have_none(self, tmp_path: Path) -> None:
        """A folder without the file, and a path that is no folder, are no boot loaders."""
        assert board_id_of(tmp_path) is None
        assert board_id_of(tmp_path / "none") is None


class TestCopy:
    def test_the_image_arrives_whole(self, tmp_path: Path) -> None:
        """The drive holds the built bytes under the image's name, and nothing temporary."""
        drive = make_drive(tmp_path / "drive")
        flashed = plan(drive)
        told: list[str] = []
        flashed.carry_out(10, told.append)
        assert (drive / "firmware.uf2").read_bytes() == flashed.image.read_bytes()
        assert sorted(file.name for file in drive.iterdir()) == ["INDEX.HTM", INFO, "firmware.uf2"]
        assert told == [f"copying firmware.uf2 to {drive}"]

    def test_the_drive_of_another_board_is_refused(self, tmp_path: Path) -> None:
        """Nothing is written to it, and the message names both."""
        drive = make_drive(tmp_path / "drive", PICO.replace("RPI-RP2", "RP2350"))
        with pytest.raises(FlashError, match="the drive of another board: got RP2350, expected RPI-RP2"):
            plan(drive).carry_out(10)
        assert not (drive / "firmware.uf2").exists()

    def test_a_plain_folder_is_refused(self, tmp_path: Path) -> None:
        """A folder that is no boot loader's is left alone."""
        with pytest.raises(
            FlashError, match=rf"is not the drive of a boot loader: expected a folder with {INFO}"
        ):
            plan(tmp_path).carry_out(10)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
    def test_a_drive_that_cannot_be_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        """Full, read-only, forbidden, or broken while still there: one line with the reason, no rest."""
        drive = make_drive(tmp_path / "drive")
        monkeypatch.setattr(uf2_copy, "_write", failing_write(number))
        with pytest.raises(FlashError, match=rf"cannot copy firmware\.uf2 to .* \({os.strerror(number)}\)"):
            plan(drive).carry_out(10)
        assert not list(drive.glob("firmware*"))

    def test_a_file_system_that_refuses_the_size(self, tmp_path: Path) -> None:
        """The system's own refusal in the middle of the file is told, and no part of it stays."""
        resource = pytest.importorskip("resource")
        drive = make_drive(tmp_path / "drive")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (700, hard))
        try:
            with pytest.raises(FlashError, match="cannot copy firmware.uf2"):
                plan(drive).carry_out(10)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert not list(drive.glob("firmware*"))

    def test_no_time_left(self, tmp_path: Path) -> None:
        """Copying stops at the time-out."""
        drive = make_drive(tmp_path / "drive")
        with pytest.raises(FlashError, match=os.strerror(errno.ETIMEDOUT)):
            plan(drive).carry_out(-1.0)

    def test_a_board_that_restarts_while_the_file_is_closed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The last block makes the board leave; the error of the vanished drive is then no failure."""
        drive = make_drive(tmp_path / "drive")
        monkeypatch.setattr(uf2_copy, "_write", failing_write(errno.EIO, leaves=drive))
        plan(drive).carry_out(10)


class TestDrive:
    def test_is_found_by_its_board_id(self, mounts: Path) -> None:
        """Among other drives the one with the board's number is taken."""
        (mounts / "backup").mkdir()
        make_drive(mounts / "OTHER", "Board-ID: other\n")
        drive = make_drive(mounts / "RPI-RP2")
        plan().carry_out(10)
        assert [file.parent for file in mounts.rglob("firmware.uf2")] == [drive]

    def test_may_appear_later(self, mounts: Path) -> None:
        """While the drive is missing the user is told how to enter the boot loader, and is waited for."""
        told: list[str] = []
        timer = threading.Timer(0.5, make_drive, [mounts / "RPI-RP2"])
        timer.start()
        plan().carry_out(20, told.append)
        timer.join()
        assert told[0].startswith("waiting for the drive RPI-RP2: hold the board's BOOTSEL button")
        assert (mounts / "RPI-RP2" / "firmware.uf2").is_file()

    def test_that_never_appears(self, mounts: Path) -> None:
        """The wait ends at the time-out, with what to do."""
        start = time.monotonic()
        with pytest.raises(FlashError, match=r"the drive RPI-RP2 did not appear\. Hold .*BOOTSEL.*--port"):
            plan().carry_out(0.5)
        assert 0.4 < time.monotonic() - start < 10

    def test_two_of_a_kind(self, mounts: Path) -> None:
        """Of two boards in their boot loaders none is picked."""
        make_drive(mounts / "RPI-RP2")
        make_drive(mounts / "RPI-RP21")
        with pytest.raises(FlashError, match=r"several drives RPI-RP2: got .*RPI-RP2, .*RPI-RP21"):
            plan().carry_out(10)
        assert not list(mounts.rglob("firmware.uf2"))

    def test_command_names_where_it_is_or_will_be(self, mounts: Path) -> None:
        """The command copies to the drive that is there, else to its usual place."""
        program, image, usual = plan().command
        assert (program, Path(image)) == ("cp", plan().image)
        assert usual.endswith("RPI-RP2")
        drive = make_drive(mounts / "elsewhere")
        assert plan().command[2] == str(drive)
        assert plan(mounts).command[2] == str(mounts)


class TestRestart:
    @pytest.fixture(autouse=True)
    def mounted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every folder passes for a mounted drive, and the board gets little time to restart."""
        monkeypatch.setattr(Path, "is_mount", lambda _: True)
        monkeypatch.setattr(uf2_copy, "_RESTART_S", 0.6)

    def test_a_real_drive_goes_away(self, tmp_path: Path) -> None:
        """A mounted drive must vanish: then the board has taken the image."""
        drive = make_drive(tmp_path / "drive")
        timer = threading.Timer(0.3, (drive / INFO).unlink)
        timer.start()
        plan(drive).carry_out(10)
        timer.join()
        assert not (drive / INFO).exists()

    def test_a_drive_that_stays(self, tmp_path: Path) -> None:
        """A boot loader that does not accept the image keeps its drive: that is a failure."""
        with pytest.raises(FlashError, match="did not take the image: its drive is still there"):
            plan(make_drive(tmp_path / "drive")).carry_out(10)
