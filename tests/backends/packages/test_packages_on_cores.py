"""The examples as machine code: the sketch with Arduino's core in simavr, the template on QEMU's Cortex-M."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import absent
from package_programs import MODELS, STUBS, assert_example_is_right, run_in_simavr, the_header

from qhn2edge.backends import export_model
from qhn2edge.model import load_model
from qhn2edge.toolchain import run_tool

ARDUINO = Path("/usr/share/arduino/hardware/arduino/avr")
ROOT = Path(__file__).parents[3]

# As platform.txt of the core has them; our own files are compiled with warnings instead of -w.
UNO = ("-mmcu=atmega328p", "-DF_CPU=16000000L", "-DARDUINO=10819", "-DARDUINO_AVR_UNO", "-DARDUINO_ARCH_AVR")
C = (
    "avr-gcc",
    "-c",
    "-Os",
    "-std=gnu11",
    "-ffunction-sections",
    "-fdata-sections",
    "-flto",
    "-fno-fat-lto-objects",
)
CXX = (
    "avr-g++", "-c", "-Os", "-std=gnu++11", "-fpermissive", "-fno-exceptions", "-ffunction-sections",
    "-fdata-sections", "-fno-threadsafe-statics", "-Wno-error=narrowing", "-flto",
)  # fmt: skip
ASSEMBLER = ("avr-gcc", "-c", "-x", "assembler-with-cpp", "-flto")
COMPILERS = {".c": C, ".cpp": CXX, ".S": ASSEMBLER}
STRICT = ("-Wall", "-Wextra", "-Werror")
CORE_INCLUDE = (f"-I{ARDUINO}/cores/arduino", f"-I{ARDUINO}/variants/standard")


def compile_all(sources: Sequence[Path], objects: Path, flags: Sequence[str]) -> list[Path]:
    """Compile each file by itself, as the Arduino builder does, and return the object files."""
    objects.mkdir()

    def one(source: Path) -> Path:
        target = objects / f"{source.name}.o"
        command = [*COMPILERS[source.suffix], *UNO, *flags, *CORE_INCLUDE, str(source), "-o", str(target)]
        run_tool(command, timeout_s=120)
        return target

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, sources))


def archive(objects: Sequence[Path], path: Path) -> Path:
    run_tool(["avr-gcc-ar", "rcs", str(path), *map(str, objects)], timeout_s=60)
    return path


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Arduino's core for the Uno, compiled once."""
    missing = [name for name in ("avr-gcc", "avr-g++", "avr-gcc-ar", "simavr") if shutil.which(name) is None]
    if missing or not ARDUINO.is_dir():
        absent(" and ".join(missing) or "Arduino's core (arduino-core-avr)")
    folder = tmp_path_factory.mktemp("core")
    sources = [path for path in sorted((ARDUINO / "cores" / "arduino").iterdir()) if path.suffix in COMPILERS]
    # Debian's core uses a constant that avr-gcc 5 defines for C only.
    return archive(compile_all(sources, folder / "objects", ["-w", "-DDECIMAL_DIG=9"]), folder / "core.a")


def build_sketch(libraries: Sequence[Path], sketch: str, core: Path, build: Path, *include: Path) -> Path:
    """Compile a sketch and libraries and link them with the core, as the Arduino builder does."""
    (build / "sketch.ino.cpp").write_text(f"#include <Arduino.h>\n{sketch}")
    flags = [*STRICT, *(f"-I{path}" for path in (*(library / "src" for library in libraries), *include))]
    inputs = compile_all([build / "sketch.ino.cpp"], build / "sketch", flags)
    for i, library in enumerate(libraries):
        objects = compile_all(sorted((library / "src").glob("*.c")), build / f"library{i}", flags)
        inputs.append(archive(objects, build / f"library{i}.a"))  # dot_a_linkage=true in library.properties
    program = build / "sketch.elf"
    link = ["avr-gcc", "-w", "-Os", "-flto", "-fuse-linker-plugin", "-Wl,--gc-sections", "-mmcu=atmega328p"]
    run_tool([*link, *map(str, inputs), str(core), "-lm", "-o", str(program)], timeout_s=120)
    return program


def ram_bytes(program: Path) -> int:
    size = run_tool(["avr-size", str(program)], timeout_s=20).stdout.decode().splitlines()[1].split()
    return int(size[1]) + int(size[2])


class TestArduinoUno:
    @pytest.mark.parametrize("kind", sorted(MODELS))
    def test_sketch(self, kind: str, core: Path, tmp_path: Path) -> None:
        """The sketch on an ATmega328P prints the interpreter's integers over its serial port."""
        model = MODELS[kind]()
        folder = export_model(model, "arduino", tmp_path / "out")
        (sketch,) = folder.rglob("*.ino")
        program = build_sketch([folder], sketch.read_text(), core, tmp_path, sketch.parent)
        assert_example_is_right(run_in_simavr(program), model, the_header(folder))

    def test_tables_stay_in_flash(self, core: Path, tmp_path: Path) -> None:
        """Neither weights nor known vectors of a 64 -> 32 -> 10 network take RAM: 400 bytes hold all."""
        model = load_model(ROOT / "examples" / "models" / "bench-64-32-10.model.json")
        folder = export_model(model, "arduino", tmp_path / "out")
        (sketch,) = folder.rglob("*.ino")
        program = build_sketch([folder], sketch.read_text(), core, tmp_path, sketch.parent)
        assert ram_bytes(program) < 400
        assert_example_is_right(run_in_simavr(program), model, the_header(folder))

    def test_networks_share_a_sketch(self, core: Path, tmp_path: Path) -> None:
        """Networks of every kind of input work in one program, though each library brings the runtime."""
        models = [make() for make in MODELS.values()]
        folders = [export_model(model, "arduino", tmp_path / model.name) for model in models]
        headers = [the_header(folder) for folder in folders]
        names = [header.name.removesuffix("_vectors.h") for header in headers]
        checks = "".join(f"{{ {name}_answer a; n_right += {name}_is_right(1, &a); }}" for name in names)
        sketch = f"""
            {"".join(f'#include "{header.name}"{chr(10)}' for header in headers)}
            void setup() {{
              int n_right = 0;
              {checks}
              Serial.begin(115200);
              Serial.print(n_right);
              Serial.println(F(" are right"));
            }}
            void loop() {{}}"""
        include = [header.parent for header in headers]
        assert run_in_simavr(build_sketch(folders, sketch, core, tmp_path, *include)) == "3 are right"


# What a core's option gives, and a machine of QEMU with that core.
CORTEX_M = {
    "cortex-m0": "microbit",
    "cortex-m3": "mps2-an385",
    "cortex-m4": "mps2-an386",
    "cortex-m7": "mps2-an500",
}


class TestCortexM:
    @pytest.mark.parametrize("kind", sorted(MODELS))
    @pytest.mark.parametrize("cpu", sorted(CORTEX_M))
    def test_template(self, cpu: str, kind: str, tmp_path: Path) -> None:
        """The pack's component and template, compiled for a core, print the interpreter's integers on it."""
        missing = [name for name in ("arm-none-eabi-gcc", "qemu-system-arm") if shutil.which(name) is None]
        if missing:
            absent(" and ".join(missing))
        model = MODELS[kind]()
        folder = export_model(model, "cmsis-pack", tmp_path / "out")
        (pack,) = folder.glob("*.pack")
        zipfile.ZipFile(pack).extractall(tmp_path / "pack")
        program = self.build(tmp_path / "pack", cpu, tmp_path)
        command = [
            "qemu-system-arm", "-M", CORTEX_M[cpu], "-display", "none", "-monitor", "none", "-serial", "none",
            "-semihosting-config", "enable=on,target=native", "-kernel", str(program),
        ]  # fmt: skip
        text = run_tool(command, timeout_s=30, check=False).stdout.decode()
        assert_example_is_right(text, model, the_header(tmp_path / "pack"))

    def build(self, pack: Path, cpu: str, build: Path) -> Path:
        """Compile component, template and a main for a core; newlib prints through semihosting."""
        (template,) = (pack / "templates").glob("*_check.c")
        main = build / "main.c"
        main.write_text(f"int {template.stem}(void);\nint main(void) {{ return {template.stem}(); }}\n")
        start = STUBS / "cortex-m"
        sources = [*sorted((pack / "src").glob("*.c")), template, main, start / "start.c"]
        command = [
            "arm-none-eabi-gcc", f"-mcpu={cpu}", "-mthumb", "-Os", *STRICT, "-ffunction-sections",
            "-Wl,--gc-sections", "--specs=nano.specs", "--specs=rdimon.specs", f"-I{pack / 'include'}",
            *map(str, sources), "-T", str(start / "memory.ld"), "-o", str(build / "program.elf"),
        ]  # fmt: skip
        run_tool(command, timeout_s=120)
        return build / "program.elf"
