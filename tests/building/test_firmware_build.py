"""Built firmware: what is in the images, that they are the same every time, and what is refused."""

from __future__ import annotations

import dataclasses
import shutil
import struct
from itertools import product
from pathlib import Path

import pytest
from conftest import BuildOnce, absent
from firmware_models import MODELS

from qhn2edge.backends.c_options import COptions
from qhn2edge.boards.board import Board
from qhn2edge.boards.boardfile import read_board
from qhn2edge.boards.catalog import find_board
from qhn2edge.building.cross_compilers import find_cross_compiler
from qhn2edge.building.disassembly import disassemble
from qhn2edge.building.elf import read_elf
from qhn2edge.building.firmware import build_firmware, read_firmware
from qhn2edge.building.images import from_hex, from_uf2, rp2040_crc
from qhn2edge.building.manifest import MANIFEST
from qhn2edge.building.sizes import CALL_BYTES
from qhn2edge.emulators.unicorn_emulator import open_line
from qhn2edge.errors import BuildError, StorageError, ToolError
from qhn2edge.link.client import BoardClient
from qhn2edge.model import load_model
from qhn2edge.toolchain import run_tool, zig_compiler

GENERIC = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "rv32")
COMPILERS = ("gcc", "zig")
BENCH = Path(__file__).parents[2] / "examples" / "models" / "bench-64-32-10.model.json"


def smaller(board: Board, **sizes: int) -> Board:
    """Return a board with less memory."""
    memory = dataclasses.replace(board.memory, **sizes)
    return dataclasses.replace(board, target=dataclasses.replace(board.microcontroller, memory=memory))


@pytest.fixture
def no_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH on which no program is."""
    empty = tmp_path / "empty-path"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("board", ["cortex-m0", "rv32"])
class TestImages:
    def test_same_bytes(self, build_once: BuildOnce, board: str, compiler: str) -> None:
        """ELF, HEX and BIN hold the same bytes at the same addresses."""
        firmware = build_once(MODELS["bits"], board, compiler)
        segments = read_elf(firmware.elf).segments
        held = {s.address + i: byte for s in segments for i, byte in enumerate(s.content)}
        (whole,) = from_hex(firmware.hex.read_bytes())
        content = firmware.bin.read_bytes()
        assert (whole.address, whole.content) == (find_board(board).memory.flash_origin, content)
        in_file = {whole.address + i: byte for i, byte in enumerate(content)}
        assert {address: in_file.get(address) for address in held} == held
        assert firmware.uf2 is None

    def test_sizes(self, build_once: BuildOnce, board: str, compiler: str) -> None:
        """The sizes are those of the binutils' size."""
        program = shutil.which("riscv64-unknown-elf-size" if board == "rv32" else "arm-none-eabi-size")
        if program is None:
            absent("size of the binutils")
        firmware = build_once(MODELS["bits"], board, compiler)
        told = run_tool([program, str(firmware.elf)], timeout_s=60).stdout.split()
        sizes = firmware.sizes
        assert [sizes.text, sizes.data, sizes.bss] == [int(n) for n in told[6:9]]
        assert sizes.flash_bytes == sizes.text + sizes.data
        assert sizes.flash_bytes == len(firmware.bin.read_bytes())

    def test_builds_are_equal(self, build_once: BuildOnce, tmp_path: Path, board: str, compiler: str) -> None:
        """The same request gives the same bytes in every file, wherever and whenever it is built."""
        first = build_once(MODELS["bits"], board, compiler)
        again = build_firmware(
            MODELS["bits"], find_board(board), tmp_path / "other" / "place", compiler=first.compiler
        )
        names = sorted(path.name for path in first.folder.iterdir())
        assert names == sorted(path.name for path in again.folder.iterdir())
        for name in names:
            assert (first.folder / name).read_bytes() == (again.folder / name).read_bytes(), name

    def test_no_paths(self, build_once: BuildOnce, board: str, compiler: str) -> None:
        """No file tells where it was built or where qhn2edge is."""
        firmware = build_once(MODELS["bits"], board, compiler)
        for path in firmware.folder.iterdir():
            content = path.read_bytes()
            assert b"qhn2edge-build" not in content, path.name
            assert str(Path(__file__).parent.parent).encode() not in content, path.name


class TestUf2AndBoot2:
    @pytest.fixture
    def board(self, tmp_path: Path) -> Board:
        """A Cortex-M0 in flash at 0x10000000 with a boot stage of its own, described in a user's file."""
        text = find_board("cortex-m0").source.read_text()
        text = text.replace('name = "cortex-m0"', 'name = "own"')
        text = text.replace('core = "cortex-m0"', 'core = "cortex-m0plus"')
        text = text.replace("flash_origin = 0x0000_0000", "flash_origin = 0x1000_0000")
        text = text.replace('["elf", "hex", "bin"]', '["elf", "hex", "bin", "uf2"]\nboot = "rp2040"')
        text = text.replace('"memory.c"]', '"memory.c", "boot.S"]\nuf2_family = 0xe48bff56')
        (tmp_path / "own.toml").write_text(text)
        stage = '.section .boot2, "a", %progbits\n.word 0x12345678\n.space 252\n'
        (tmp_path / "boot.S").write_text(stage)
        return read_board(tmp_path / "own.toml")

    @pytest.mark.parametrize("compiler", COMPILERS)
    def test_checksum_is_in_every_image(self, board: Board, tmp_path: Path, compiler: str) -> None:
        """ELF, HEX, BIN and UF2 begin with the board's boot stage and its checksum."""
        try:
            found = find_cross_compiler(board.core, compiler)
        except ToolError as error:
            absent(str(error))
        firmware = build_firmware(MODELS["bits"], board, tmp_path / "out", compiler=found)
        stage = struct.pack("<I", 0x12345678) + bytes(248)
        expected = stage + struct.pack("<I", rp2040_crc(stage))
        assert firmware.uf2 is not None
        pages = from_uf2(firmware.uf2.read_bytes())
        assert firmware.bin.read_bytes()[:256] == expected
        assert read_elf(firmware.elf).read(0x1000_0000, 256) == expected
        assert from_hex(firmware.hex.read_bytes())[0].content[:256] == expected
        assert (pages[0].address, pages[0].content) == (0x1000_0000, expected)
        whole = b"".join(page.content for page in pages)
        assert whole.startswith(firmware.bin.read_bytes())

    def test_stage_is_missing(self, board: Board, tmp_path: Path) -> None:
        """A board that promises a boot stage and brings none is refused."""
        (tmp_path / "boot.S").write_text("")
        build = dataclasses.replace(board.build, start=("boot.S",))
        tiny = dataclasses.replace(board, target=dataclasses.replace(board.microcontroller, build=build))
        with pytest.raises((BuildError, ToolError)):
            build_firmware(MODELS["bits"], tiny, tmp_path / "out")
        assert not (tmp_path / "out").exists()


class TestFit:
    @pytest.mark.parametrize("compiler", COMPILERS)
    @pytest.mark.parametrize(
        ("sizes", "message"),
        [
            ({"flash_bytes": 512}, r"flash of cortex-m0: got [\d,]+ bytes, expected at most 512\."),
            (
                {"ram_bytes": 128},
                r"RAM \(variables and stack\) of cortex-m0: got \d+ bytes, expected at most 128",
            ),
        ],
        ids=["flash", "ram"],
    )
    def test_too_large(
        self, build_once: BuildOnce, tmp_path: Path, sizes: dict[str, int], message: str, compiler: str
    ) -> None:
        """Firmware that is larger than flash or RAM is refused with both numbers, and nothing is left."""
        fitting = build_once(MODELS["bits"], "cortex-m0", compiler)
        board = smaller(find_board("cortex-m0"), **sizes)
        with pytest.raises(BuildError, match=message) as caught:
            build_firmware(MODELS["bits"], board, tmp_path / "out", compiler=fitting.compiler)
        needed = fitting.sizes.flash_bytes if "flash_bytes" in sizes else fitting.sizes.ram_bytes
        assert f"got {needed:,} bytes" in str(caught.value)
        assert list(tmp_path.iterdir()) == []

    def test_to_the_byte(self, build_once: BuildOnce, tmp_path: Path) -> None:
        """Memory that is just large enough is enough; 8 bytes less of RAM are not, because of the stack."""
        fitting = build_once(MODELS["bits"], "cortex-m0")
        sizes, board = fitting.sizes, find_board("cortex-m0")
        assert sizes.stack_bytes is not None
        exact = smaller(board, flash_bytes=sizes.flash_bytes, ram_bytes=sizes.ram_bytes)
        build_firmware(MODELS["bits"], exact, tmp_path / "exact", compiler=fitting.compiler)
        with pytest.raises(BuildError, match="stack"):
            build_firmware(
                MODELS["bits"],
                smaller(exact, ram_bytes=sizes.ram_bytes - 8),
                tmp_path / "less",
                compiler=fitting.compiler,
            )

    def test_optimize_size(self, build_once: BuildOnce) -> None:
        """Building for size gives an image that is no larger than one for speed."""
        small = build_once(MODELS["bits"], "cortex-m0", optimize="size")
        assert small.sizes.flash_bytes <= build_once(MODELS["bits"], "cortex-m0").sizes.flash_bytes


class TestInferenceStack:
    @pytest.mark.parametrize("optimize", ["speed", "size"])
    @pytest.mark.parametrize(
        ("board", "compiler"),
        [*product(("cortex-m0", "cortex-m4", "rv32"), COMPILERS), ("arduino-uno", "gcc")],
    )
    def test_within_the_rule(self, build_once: BuildOnce, board: str, compiler: str, optimize: str) -> None:
        """An inference takes the values of two layers and 64 bytes of stack, at most."""
        for model in (*MODELS.values(), load_model(BENCH)):
            sizes = build_once(model, board, compiler, optimize=optimize).sizes
            assert sizes.inference_bytes is not None
            assert 0 < sizes.inference_bytes <= (sizes.inference_limit or 0), model.name

    def test_known_limit(self, build_once: BuildOnce) -> None:
        """Of 64 -> 32 -> 10, input and hidden layer have more bytes than hidden layer and logits."""
        assert build_once(load_model(BENCH), "cortex-m0").sizes.inference_limit == 64 + 32 + CALL_BYTES


class TestFolder:
    def test_what_is_replaced(self, build_once: BuildOnce, tmp_path: Path) -> None:
        """An earlier build is replaced where that is asked for; any other folder never is."""
        compiler, board = build_once(MODELS["bits"], "cortex-m0").compiler, find_board("cortex-m0")
        out = tmp_path / "out"
        out.mkdir()
        build_firmware(MODELS["bits"], board, out, compiler=compiler)
        with pytest.raises(StorageError, match="exists already"):
            build_firmware(MODELS["int8"], board, out, compiler=compiler)
        build_firmware(MODELS["int8"], board, out, compiler=compiler, replace=True)
        assert read_firmware(out, board).model_digest == MODELS["int8"].digest
        (out / MANIFEST).unlink()
        with pytest.raises(BuildError, match="not an earlier build"):
            build_firmware(MODELS["bits"], board, out, compiler=compiler, replace=True)

    def test_read_back(self, build_once: BuildOnce, tmp_path: Path) -> None:
        """A build is read back as it was, and refused when a file was changed or the board is another one."""
        built = build_once(MODELS["bits"], "cortex-m0")
        again = read_firmware(built.folder, built.board)
        assert again == dataclasses.replace(built, compiler=dataclasses.replace(built.compiler, command=()))
        copy = tmp_path / "copy"
        shutil.copytree(built.folder, copy)
        with pytest.raises(BuildError, match="of another board"):
            read_firmware(copy, find_board("cortex-m3"))
        content = bytearray((copy / "firmware.bin").read_bytes())
        content[100] ^= 1
        (copy / "firmware.bin").write_bytes(content)
        with pytest.raises(BuildError, match="was changed"):
            read_firmware(copy, built.board)
        (copy / MANIFEST).write_text("{]")
        with pytest.raises(BuildError, match="damaged"):
            read_firmware(copy, built.board)
        with pytest.raises(StorageError, match="does not exist"):
            read_firmware(tmp_path, built.board)


class TestOwnBoard:
    def test_files_beside_the_board(self, tmp_path: Path) -> None:
        """Files beside a user's board come before the shipped ones, and its macros reach them."""
        text = find_board("cortex-m0").source.read_text()
        text = text.replace('uart = "virtual.c"', 'uart = "mine.c"').replace(
            "[emulators", "[build.defines]\nMY_NUMBER = 0x1234567\n[emulators"
        )
        (tmp_path / "own.toml").write_text(text)
        shipped = Path(find_board("cortex-m0").source.parent.parent.parent / "firmware/uart/virtual.c")
        mine = shipped.read_text().replace("return 0u;", "return mine;", 1)
        constant = "static const volatile uint32_t mine = MY_NUMBER + 1;\n"
        (tmp_path / "mine.c").write_text(mine.replace("void qhn_board", f"{constant}void qhn_board", 1))
        firmware = build_firmware(MODELS["bits"], read_board(tmp_path / "own.toml"), tmp_path / "out")
        image = read_elf(firmware.elf)
        assert image.read(image.by_name["mine"].address, 4) == struct.pack("<I", 0x1234568)

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ('uart = "virtual.c"', 'uart = "none.c"', "names a file that does not exist: got none.c"),
            ('linker = "cortex_m.ld.in"', 'linker = "own.ld.in"', r"cannot be filled: got 'my_value'"),
            ('start = ["cortex_m.c", "memory.c"]', 'start = "broken.c"', "failed with exit status 1"),
            (
                'start = ["cortex_m.c", "memory.c"]',
                'start = "memory.c"',
                "no main|linking with .* failed",
            ),
        ],
    )
    def test_what_is_refused(self, tmp_path: Path, old: str, new: str, message: str) -> None:
        """A missing file, a template that wants more, and code that does not compile or link are named."""
        text = find_board("cortex-m0").source.read_text()
        assert old in text
        (tmp_path / "own.toml").write_text(text.replace(old, new))
        (tmp_path / "own.ld.in").write_text("x = ${my_value};")
        (tmp_path / "broken.c").write_text("int main(")
        with pytest.raises((BuildError, ToolError), match=message) as caught:
            build_firmware(MODELS["bits"], read_board(tmp_path / "own.toml"), tmp_path / "out")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out").exists()


class TestCompilers:
    def test_pip_alone(self, no_programs: None, tmp_path: Path) -> None:
        """Without a program on the PATH, ziglang builds firmware that runs, and capstone lists it."""
        for core in ("cortex-m0", "rv32imac"):
            assert find_cross_compiler(core) == zig_compiler()
        firmware = build_firmware(MODELS["bits"], find_board("cortex-m0"), tmp_path / "out", disassembly=True)
        assert firmware.compiler.name == "ziglang"
        assert "<main>" in (tmp_path / "out" / "firmware.lst").read_text()
        with open_line(firmware) as line:
            assert BoardClient(line, MODELS["bits"]).hello().n_features == MODELS["bits"].input.n_features

    def test_missing_gcc(self, no_programs: None) -> None:
        """A gcc that was asked for and is not there is named, with how to get it."""
        with pytest.raises(ToolError, match="Apt install gcc-arm-none-eabi"):
            find_cross_compiler("cortex-m0", "gcc")

    def test_unknown_choice(self) -> None:
        """Any other word is refused."""
        with pytest.raises(BuildError, match="unknown compiler: got icc, expected one of auto, gcc, zig"):
            find_cross_compiler("cortex-m0", "icc")


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("board", ["cortex-m0", "cortex-m33", "rv32"])
def test_no_warnings(tmp_path: Path, board: str, compiler: str) -> None:
    """Model, adapter, server, start-up and UART compile without a warning."""
    try:
        found = find_cross_compiler(find_board(board).core, compiler)
    except ToolError as error:
        absent(str(error))
    strict = dataclasses.replace(found, command=(*found.command, "-Werror"))
    build_firmware(MODELS["uint8"], find_board(board), tmp_path / "out", compiler=strict)


class TestDisassembly:
    @pytest.mark.parametrize("board", ["cortex-m4", "rv32"])
    def test_capstone_and_objdump(
        self, build_once: BuildOnce, monkeypatch: pytest.MonkeyPatch, board: str
    ) -> None:
        """Both list every function of the image, and neither tells a path."""
        firmware = build_once(MODELS["bits"], board)
        names = [f"<{function.name}>:" for function in read_elf(firmware.elf).functions]
        with_path = disassemble(firmware.elf, firmware.board)
        monkeypatch.setenv("PATH", "")
        for text in (with_path, disassemble(firmware.elf, firmware.board)):
            assert [name for name in names if name not in text] == []
            assert str(firmware.folder) not in text

    def test_capstone_covers_every_byte(self, build_once: BuildOnce, monkeypatch: pytest.MonkeyPatch) -> None:
        """The bytes in capstone's listing are those of the functions, in their order."""
        monkeypatch.setenv("PATH", "")
        firmware = build_once(MODELS["bits"], "cortex-m4", "zig")
        image = read_elf(firmware.elf)
        text = disassemble(firmware.elf, firmware.board)
        listed = b"".join(bytes.fromhex(line.split("\t")[1]) for line in text.splitlines() if "\t" in line)
        assert listed == b"".join(image.read(f.address, f.size) for f in image.functions)


def test_options_reach_the_export(build_once: BuildOnce) -> None:
    """The firmware keeps the options of the C export, with the board's core."""
    firmware = build_once(MODELS["bits"], "cortex-m3", optimize="size")
    assert firmware.options == COptions(core="cortex-m3", optimize="size")
