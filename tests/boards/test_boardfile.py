"""Board files: what they may say, and one clear line for everything else."""

from __future__ import annotations

from pathlib import Path

import pytest
from board_texts import BOARD, FPGA
from hypothesis import given, settings
from hypothesis import strategies as st

from qhn2edge.boards.board import Flash, Fpga, Memory, Serial
from qhn2edge.boards.boardfile import read_board
from qhn2edge.errors import BoardError, QhnError, StorageError


def read(tmp_path: Path, text: str | bytes) -> object:
    """Read a board from a text."""
    path = tmp_path / "my-board.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_board(path)


class TestReadBoard:
    def test_every_entry_arrives(self, tmp_path: Path) -> None:
        """Each entry of the file is in the board, with its type."""
        path = tmp_path / "my-board.toml"
        path.write_text(BOARD)
        board = read_board(path)
        assert (board.name, board.title, board.chip, board.core) == (
            "my-board",
            "My board",
            "X1",
            "cortex-m4",
        )
        assert board.clock_hz == 48_000_000
        assert board.memory == Memory(0x0800_0000, 65_536, 0x2000_0000, 8_192)
        assert board.build.start == ("cortex_m.c", "memory.c")
        assert board.build.uart == ("virtual.c",)
        assert dict(board.build.defines) == {"QHN_FAST": "", "QHN_PIN": "7"}
        assert (board.build.uf2_family, board.build.boot, board.build.mcu) == (0x1234, None, None)
        assert board.flash == Flash("openocd", {"interface": "stlink", "scripts": ("a", "b")})
        assert dict(board.emulators) == {"unicorn": {}, "qemu": {"machine": "mps2-an386"}}
        assert board.serial == Serial(9_600, 0.5)
        assert board.is_real
        assert board.source == path

    def test_what_may_be_left_out(self, tmp_path: Path) -> None:
        """Without [flash] and [emulators] a board is neither; without [serial] it talks at 115200 baud."""
        path = tmp_path / "my-board.toml"
        path.write_text(BOARD.split("[flash]", maxsplit=1)[0])
        board = read_board(path)
        assert (board.is_real, dict(board.emulators), board.serial) == (False, {}, Serial(115_200, 0.0))

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ('core = "cortex-m4"', 'core = "z80"', r"entry core .*got z80, expected one of cortex-m0, "),
            ('core = "cortex-m4"', "", r"entry core is missing in "),
            ("clock_hz = 48_000_000", "clock_hz = 0", r"clock_hz .*got 0, expected an integer from 1 to"),
            ("clock_hz = 48_000_000", "clock_hz = true", r"clock_hz .*got True"),
            ("ram_bytes = 8_192", "ram_bytes = 8.5", r"ram_bytes in \[memory\] of .*got 8.5"),
            ("ram_bytes = 8_192", "ram_byte = 8_192", r"entry ram_bytes is missing in \[memory\]"),
            ("0x2000_0000", "0xffff_ff00", r"ram_bytes in \[memory\].*expected an end below 4 GiB"),
            ('"uf2"]', '"exe"]', r"formats in \[build\]"),
            ('start = ["cortex_m.c", "memory.c"]', "start = []", r"start in \[build\].*got \[\]"),
            ('uart = "virtual.c"', 'uart = "../secret.c"', r"uart in \[build\].*got ../secret.c"),
            ('tool = "openocd"', 'tool = "hammer"', r"tool in \[flash\].*got hammer"),
            ("QHN_PIN = 7", '"A B" = 7', r"A B in \[defines\] of \[build\]"),
            (
                "[emulators.unicorn]",
                "[emulators]\nunicorn = 1\n",
                r"unicorn in \[emulators\].*expected a table",
            ),
            ("baud = 9_600", "bauds = 9_600", r"unknown entry in \[serial\].*Did you mean baud\?"),
            ("settle_s = 0.5", "settle_s = nan", r"settle_s in \[serial\].*got nan"),
            ('name = "my-board"', 'name = "My Board"', r"entry name .*got My Board"),
            ("[memory]", "[memory", r"is not TOML"),
        ],
    )
    def test_what_is_refused(self, tmp_path: Path, old: str, new: str, message: str) -> None:
        """An entry that is missing, misspelt, of the wrong type or out of range is named, with its value."""
        assert old in BOARD
        with pytest.raises(BoardError, match=message):
            read(tmp_path, BOARD.replace(old, new, 1))

    def test_every_entry_of_an_fpga_arrives(self, tmp_path: Path) -> None:
        """A board with a table [fpga] has no core and no memory of a program."""
        path = tmp_path / "mine.toml"
        path.write_text(FPGA)
        board = read_board(path)
        facts = ("ice40", "up5k", "sg48", 5280, 15_360, "mine.pcf", "quarter", "low")
        assert board.target == Fpga(*facts, high=("flash_cs", "other"), low=("usb_pu",))
        assert (board.is_fpga, board.core, board.clock_hz) == (True, "ice40", 12_000_000)

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            (
                'family = "ice40"',
                'family = "xc7"',
                r"family in \[fpga\].*got xc7, expected one of ice40, ecp5",
            ),
            ('device = "up5k"', 'device = "up5k --freq"', r"entry device in \[fpga\]"),
            ("luts = 5_280", "luts = 0", r"luts in \[fpga\].*got 0"),
            ('pins = "mine.pcf"', 'pins = "../mine.pcf"', r"pins in \[fpga\].*expected the name of a file"),
            ('led = "low"', 'led = "on"', r"led in \[fpga\].*got on, expected one of high, low"),
            ('low = "usb_pu"', 'low = "rx"', r"low in \[fpga\].*but clk, rx, tx, led"),
            ('clock = "quarter"', 'clocks = "quarter"', r"unknown entry in \[fpga\].*Did you mean clock\?"),
            ('title = "My FPGA"', 'title = "My FPGA"\ncore = "avr"', r"unknown entry in .*got core"),
        ],
    )
    def test_what_of_an_fpga_is_refused(self, tmp_path: Path, old: str, new: str, message: str) -> None:
        """The same for the entries of an FPGA; those of a microcontroller are unknown there."""
        assert old in FPGA
        with pytest.raises(BoardError, match=message):
            read(tmp_path, FPGA.replace(old, new, 1))

    def test_an_oscillator_of_another_family(self, tmp_path: Path) -> None:
        """Only an iCE40 has the oscillator that "hfosc" is."""
        text = FPGA.replace('"ice40"', '"ecp5"', 1).replace('"quarter"', '"hfosc"', 1)
        with pytest.raises(BoardError, match=r"clock in \[fpga\].*got hfosc, expected a clock that ecp5"):
            read(tmp_path, text)

    def test_other_files(self, tmp_path: Path) -> None:
        """A file that is no text, and one that is not there, are told apart."""
        with pytest.raises(BoardError, match="not UTF-8"):
            read(tmp_path, b"\xff\xfe")
        with pytest.raises(StorageError, match="does not exist"):
            read_board(tmp_path / "none.toml")

    @settings(deadline=None, max_examples=300)
    @given(data=st.data())
    def test_damage_gives_one_line(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        """However a file is damaged, it is read, or refused with one line."""
        lines = BOARD.splitlines()
        for _ in range(data.draw(st.integers(1, 3))):
            i = data.draw(st.integers(0, len(lines) - 1))
            lines[i] = data.draw(st.one_of(st.text(max_size=30), _edits(lines[i])))
        path = tmp_path_factory.mktemp("damage") / "my-board.toml"
        path.write_bytes("\n".join(lines).encode("utf-8", errors="replace"))
        try:
            read_board(path)
        except QhnError as error:
            assert "\n" not in str(error)


def _edits(line: str) -> st.SearchStrategy[str]:
    """Return the line cut short, doubled, or with another value behind its equals sign."""
    values = st.sampled_from(
        ("1", "-1", "1e400", "nan", "true", '""', "[]", "{}", "[[1]]", "2020-01-01", '"\\u0000"', str(2**70))
    )
    key = line.split("=", maxsplit=1)[0]
    return st.one_of(
        st.integers(0, len(line)).map(lambda n: line[:n]),
        st.just(f"{line}\n{line}"),
        values.map(lambda value: f"{key}= {value}"),
    )
