"""The examples of all packages, compiled for this machine (with stand-ins for each ecosystem) and run."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from package_programs import (
    MODELS,
    STUBS,
    assert_example_is_right,
    bit_model,
    read_output,
    run_on_host,
    the_header,
)
from strategies import models

from qhn2edge.backends import export_model
from qhn2edge.backends.c_text import c_name
from qhn2edge.model import Model
from qhn2edge.toolchain import CompilerFound, run_tool

KINDS = sorted(MODELS)


def c_files(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in sorted(folder.glob("*.c"))]


def run_platformio(compiler: CompilerFound, folder: Path, build: Path) -> tuple[int, str]:
    """Build as the environment ``native`` does: the library's src and the example's host.c."""
    source = folder / "examples" / "known_vectors" / "src"
    return run_on_host(compiler, [*c_files(folder / "src"), source / "host.c"], [folder / "src"], build)


def run_cmsis(compiler: CompilerFound, folder: Path, build: Path) -> tuple[int, str]:
    """Unpack the pack, and call the template's function from a main."""
    (pack,) = folder.glob("*.pack")
    inside = build / "pack"
    zipfile.ZipFile(pack).extractall(inside)
    (template,) = (inside / "templates").glob("*_check.c")
    main = build / "main.c"
    main.write_text(f"int {template.stem}(void);\nint main(void)\n{{\n    return {template.stem}();\n}}\n")
    return run_on_host(
        compiler, [*c_files(inside / "src", inside / "templates"), main], [inside / "include"], build
    )


def run_sketch(sketch: str, folder: Path, source: Path, compiler: CompilerFound, build: Path) -> str:
    """Compile a sketch with the stand-in for Arduino's core; ``source`` is the folder it lies in."""
    program, objects = build / "program", build / "objects"
    objects.mkdir()
    (build / "sketch.cpp").write_text(sketch)
    include = [f"-I{path}" for path in (STUBS / "arduino", folder / "src", source)]
    strict = ["-Wall", "-Wextra", "-Werror"]
    commands = [
        ["-std=c99", "-c", str(path), "-o", str(objects / f"{path.stem}.o")]
        for path in c_files(folder / "src")
    ]
    flags = ["-std=gnu++11", "-fno-exceptions", "-fno-rtti", "-c", str(build / "sketch.cpp")]
    commands.append([*flags, "-o", str(objects / "sketch.o")])
    for command in commands:
        run_tool([*compiler.command, *strict, *include, *command], timeout_s=120)
    linked = [str(path) for path in sorted(objects.iterdir())]
    run_tool([*compiler.command, *linked, "-o", str(program)], timeout_s=120)
    return run_tool([str(program)], timeout_s=20).stdout.decode("ascii")


@pytest.mark.parametrize("kind", KINDS)
class TestExamplesAreRight:
    def test_platformio_native(self, kind: str, host_compiler: CompilerFound, tmp_path: Path) -> None:
        """The program for a computer prints the interpreter's integers and ends with 0."""
        model = MODELS[kind]()
        folder = export_model(model, "platformio", tmp_path / "out")
        status, text = run_platformio(host_compiler, folder, tmp_path)
        assert status == 0
        assert_example_is_right(text, model, the_header(folder))

    def test_platformio_board(self, kind: str, host_compiler: CompilerFound, tmp_path: Path) -> None:
        """The program for a board, on a stand-in for Arduino's core, prints the interpreter's integers."""
        model = MODELS[kind]()
        folder = export_model(model, "platformio", tmp_path / "out")
        source = folder / "examples" / "known_vectors" / "src"
        text = run_sketch((source / "board.cpp").read_text(), folder, source, host_compiler, tmp_path)
        assert_example_is_right(text, model, the_header(folder))

    def test_arduino(self, kind: str, host_compiler: CompilerFound, tmp_path: Path) -> None:
        """The sketch, on a stand-in for Arduino's core, prints the interpreter's integers."""
        model = MODELS[kind]()
        folder = export_model(model, "arduino", tmp_path / "out")
        (sketch,) = folder.rglob("*.ino")
        text = "#include <Arduino.h>\n" + sketch.read_text()
        printed = run_sketch(text, folder, sketch.parent, host_compiler, tmp_path)
        assert_example_is_right(printed, model, the_header(folder))

    def test_cmsis_pack(self, kind: str, host_compiler: CompilerFound, tmp_path: Path) -> None:
        """The template in the archive prints the interpreter's integers and returns 0."""
        model = MODELS[kind]()
        folder = export_model(model, "cmsis-pack", tmp_path / "out")
        status, text = run_cmsis(host_compiler, folder, tmp_path)
        assert status == 0
        assert_example_is_right(text, model, the_header(tmp_path / "pack"))

    def test_zephyr(self, kind: str, host_compiler: CompilerFound, tmp_path: Path) -> None:
        """The sample, on a stand-in for Zephyr's kernel, prints the interpreter's integers."""
        model = MODELS[kind]()
        folder = export_model(model, "zephyr", tmp_path / "out")
        source = folder / "samples" / "known_vectors" / "src"
        files = [*c_files(folder / "src"), source / "main.c"]
        status, text = run_on_host(
            host_compiler, files, [folder / "include", STUBS / "zephyr" / "include"], tmp_path
        )
        assert status == 0
        assert_example_is_right(text, model, the_header(folder))

    def test_esp_idf(self, kind: str, host_compiler: CompilerFound, tmp_path: Path) -> None:
        """The example, called as ESP-IDF's start-up code does, prints the interpreter's integers."""
        model = MODELS[kind]()
        folder = export_model(model, "esp-idf", tmp_path / "out")
        main = folder / "examples" / "known_vectors" / "main" / "main.c"
        files = [*c_files(folder / "src"), main, STUBS / "esp-idf" / "start.c"]
        # The framework declares app_main in a header of its own; -Wmissing-prototypes is not among the flags.
        status, text = run_on_host(host_compiler, files, [folder / "include"], tmp_path)
        assert status == 0
        assert_example_is_right(text, model, the_header(folder))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(model=models())
def test_any_model_is_right(
    host_compiler: CompilerFound, tmp_path_factory: pytest.TempPathFactory, model: Model
) -> None:
    """The example of a random model of any kind compiles without a warning and is right."""
    root = tmp_path_factory.mktemp("any")
    folder = export_model(model, "platformio", root / "out")
    status, text = run_platformio(host_compiler, folder, root)
    assert status == 0
    assert_example_is_right(text, model, the_header(folder))


class TestExamplesCanFail:
    def exported(self, tmp_path: Path) -> tuple[Path, Path]:
        """Return the packages of two models that differ in their weights only."""
        models = (bit_model(0), bit_model(1))
        first, second = (
            export_model(model, "platformio", tmp_path / str(i)) for i, model in enumerate(models)
        )
        return first, second

    def test_other_weights(self, host_compiler: CompilerFound, tmp_path: Path) -> None:
        """A network that is not the one the vectors were made for is told so, with what was expected."""
        first, second = self.exported(tmp_path)
        name = f"{c_name(bit_model().name)}.c"
        shutil.copyfile(second / "src" / name, first / "src" / name)
        status, text = run_platformio(host_compiler, first, tmp_path)
        printed = read_output(text)
        assert printed.verdict == "FAIL"
        assert status == printed.right.count(False) > 0
        assert "WRONG, expected label " in text

    def test_one_wrong_logit(self, host_compiler: CompilerFound, tmp_path: Path) -> None:
        """One logit that differs by 1 is seen, though the label may be right; the others stay right."""
        folder, _ = self.exported(tmp_path)
        header = the_header(folder)
        text = header.read_text()
        start = text.index("{", text.index("_KNOWN_LOGITS") + len("_KNOWN_LOGITS"))
        start = text.index("{", start + 1) + 1
        value, rest = text[start:].split(",", 1)
        header.write_text(f"{text[:start]}{int(value) + 1},{rest}")
        status, output = run_platformio(host_compiler, folder, tmp_path)
        printed = read_output(output)
        assert status == 1
        assert printed.right == [False] + [True] * (len(printed.right) - 1)

    def test_refused_input(self, host_compiler: CompilerFound, tmp_path: Path) -> None:
        """A vector that the network refuses is wrong."""
        folder, _ = self.exported(tmp_path)
        header = the_header(folder)
        head, tail = header.read_text().split("VECTORS_TABLE = {\n", 1)
        header.write_text(f"{head}VECTORS_TABLE = {{\n{tail.replace('0', '2', 1)}")
        status, output = run_platformio(host_compiler, folder, tmp_path)
        assert status == 1
        assert read_output(output).right.count(False) == 1


class TestCMake:
    """The packages' CMake files, with stand-ins for the two build systems."""

    def build(self, source: Path, build: Path, *definitions: str, **environment: str) -> None:
        cmake = shutil.which("cmake")
        if cmake is None or shutil.which("make") is None:
            pytest.skip("cmake or make is missing")
        command = [cmake, "-S", str(source), "-B", str(build), "-G", "Unix Makefiles", *definitions]
        run_tool(command, timeout_s=120, env=environment)
        run_tool([cmake, "--build", str(build)], timeout_s=120)

    def test_zephyr(self, tmp_path: Path) -> None:
        """The sample finds its module, which adds its sources because prj.conf switches it on."""
        model = bit_model()
        folder = export_model(model, "zephyr", tmp_path / "out")
        sample = folder / "samples" / "known_vectors"
        self.build(sample, tmp_path / "b", f"-DZephyr_DIR={STUBS / 'zephyr'}")
        text = run_tool([str(tmp_path / "b" / "app")], timeout_s=20).stdout.decode()
        assert_example_is_right(text, model, the_header(folder))

    def test_zephyr_switched_off(self, tmp_path: Path) -> None:
        """Without its Kconfig symbol the module adds nothing, and the sample does not build."""
        folder = export_model(bit_model(), "zephyr", tmp_path / "out")
        sample = folder / "samples" / "known_vectors"
        (sample / "prj.conf").write_text("CONFIG_PRINTK=y\n")
        with pytest.raises(Exception, match=r"bits_40\.h"):
            self.build(sample, tmp_path / "b", f"-DZephyr_DIR={STUBS / 'zephyr'}")

    @pytest.mark.parametrize("name", ["bits-40", "Main"])
    def test_esp_idf(self, tmp_path: Path, name: str) -> None:
        """The example finds the component two folders up, whatever that folder is called."""
        model = bit_model(name=name)
        folder = export_model(model, "esp-idf", tmp_path / "any name")
        self.build(folder / "examples" / "known_vectors", tmp_path / "b", IDF_PATH=str(STUBS / "esp-idf"))
        (program,) = (path for path in (tmp_path / "b").glob("binn_*_example") if path.is_file())
        text = run_tool([str(program)], timeout_s=20).stdout.decode()
        assert_example_is_right(text, model, the_header(folder))
