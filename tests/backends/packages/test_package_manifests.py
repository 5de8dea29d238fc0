"""The packages' descriptions, by the rules of each ecosystem; names, versions, licence and README."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest
from conftest import absent
from package_programs import MODELS, TARGETS, bit_model, uint8_model

from qhn2edge import modelfile
from qhn2edge.backends import export_model
from qhn2edge.backends.to_arduino import CORE_HEADERS, library_name
from qhn2edge.backends.to_esp_idf import component_name
from qhn2edge.errors import ExportError
from qhn2edge.model import Model
from qhn2edge.toolchain import run_tool

ROOT = Path(__file__).parents[3]
NAMES = ("a", "bits-40", "Arduino-thing", "x" * 64, "a__b", "a-_-", "main", "Zephyr", "esp-idf")
SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")

Need = Callable[[str], ModuleType]


def with_provenance(provenance: dict[str, object]) -> Model:
    model = bit_model()
    return Model(model.name, model.input, model.layers, model.head, provenance)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def unpacked(folder: Path, to: Path) -> Path:
    (pack,) = folder.glob("*.pack")
    zipfile.ZipFile(pack).extractall(to)
    return to


@pytest.mark.parametrize("target", TARGETS)
class TestEveryPackage:
    def test_two_exports_are_equal(self, target: str, tmp_path: Path) -> None:
        """Every byte of every file depends on the model only; the archive too."""
        folders = [export_model(uint8_model(), target, tmp_path / name) for name in ("a", "b")]
        assert files_of(folders[0]) == files_of(folders[1])

    def test_model_and_licence_are_inside(self, target: str, tmp_path: Path) -> None:
        """The folder holds the model itself and the project's licence, word for word."""
        model = bit_model()
        folder = export_model(model, target, tmp_path / "out")
        assert modelfile.read(folder / "model.json") == model
        assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()

    def test_no_host_program(self, target: str, tmp_path: Path) -> None:
        """The C export's program for a host, which would bring a second main, is left out."""
        folder = export_model(bit_model(), target, tmp_path / "out")
        root = unpacked(folder, tmp_path / "pack") if target == "cmsis-pack" else folder
        mains = [path for path in root.rglob("*.c") if re.search(r"\bmain\(", path.read_text())]
        expected = {"platformio": ["host.c"], "zephyr": ["main.c"]}
        assert [path.name for path in mains] == expected.get(target, [])

    def test_headers_serve_cpp(self, target: str, tmp_path: Path) -> None:
        """Each header of the library has C linkage in C++, so that sketches can call it."""
        folder = export_model(bit_model(), target, tmp_path / "out")
        root = unpacked(folder, tmp_path / "pack") if target == "cmsis-pack" else folder
        headers = [path for path in root.rglob("*.h") if path.parent.name in {"src", "include"}]
        library = [path for path in headers if not path.name.endswith("_vectors.h")]
        assert {path.name for path in library} >= {"bits_40.h"}
        assert all('extern "C"' in path.read_text() for path in library)

    def test_readme(self, target: str, tmp_path: Path) -> None:
        """The README names the digest and the classes, and every path it names below examples/ exists."""
        model = bit_model()
        folder = export_model(model, target, tmp_path / "out")
        text = (folder / "README.md").read_text("ascii")
        assert model.digest in text
        assert "| 2 | yes&#124;no &#9731; |" in text
        assert "$" not in text.replace("$(arduino-cli", "").replace("$MODULE", "")
        for path in re.findall(r"(?:examples|samples|templates)/[\w./-]*\w", text):
            root = unpacked(folder, tmp_path / "pack") if target == "cmsis-pack" else folder
            assert (root / path).exists(), path

    @pytest.mark.parametrize("name", NAMES)
    def test_any_name_is_exported(self, target: str, name: str, tmp_path: Path) -> None:
        """Names at the limits of the model's rules give files whose names fit too."""
        folder = export_model(bit_model(name=name), target, tmp_path / "out")
        paths = [path.relative_to(folder) for path in folder.rglob("*")]
        assert all(
            len(part) <= 90 and re.fullmatch(r"[\w.+-]+", part) for path in paths for part in path.parts
        )

    @pytest.mark.parametrize(
        ("given", "expected"),
        [("2.10.3", "2.10.3"), ("1.0", "1.0.0"), ("01.2.3", "1.0.0"), (3, "1.0.0"), ('1.0.0"\n', "1.0.0")],
    )
    def test_version(self, target: str, given: object, expected: str, tmp_path: Path) -> None:
        """The version is the provenance's where that has three plain numbers, else 1.0.0."""
        folder = export_model(with_provenance({"version": given}), target, tmp_path / "out")
        manifests = {
            "arduino": ("library.properties", f"version={expected}\n"),
            "platformio": ("library.json", f'"version": "{expected}"'),
            "esp-idf": ("idf_component.yml", f'version: "{expected}"\n'),
            "cmsis-pack": ("qhn2edge.bits-40.pdsc", f'<release version="{expected}">'),
        }
        if target in manifests:
            name, text = manifests[target]
            assert text in (folder / name).read_text()


class TestArduino:
    def properties(self, folder: Path) -> dict[str, str]:
        lines = (folder / "library.properties").read_text("ascii").splitlines()
        pairs = [line.split("=", 1) for line in lines]
        assert len({name for name, _ in pairs}) == len(pairs)
        return dict(pairs)

    @pytest.mark.parametrize("name", NAMES)
    def test_library_properties(self, name: str, tmp_path: Path) -> None:
        """The rules of the library specification and of arduino-lint's "specification" schema hold."""
        model = bit_model(name=name)
        folder = export_model(model, "arduino", tmp_path / "out")
        found = self.properties(folder)
        required = (
            "version",
            "author",
            "maintainer",
            "sentence",
            "paragraph",
            "category",
            "url",
            "architectures",
        )
        assert set(found) == {"name", *required, "includes", "dot_a_linkage"}
        assert all(found.values())
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9 _.-]{0,62}", found["name"])
        assert not found["name"].lower().startswith("arduino")
        assert SEMVER.fullmatch(found["version"])
        assert found["category"] == "Data Processing"
        assert model.digest in found["paragraph"]
        assert (folder / "src" / found["includes"]).is_file()

    @pytest.mark.parametrize("name", NAMES)
    def test_sketch_lies_in_a_folder_of_its_name(self, name: str, tmp_path: Path) -> None:
        """The IDE opens a sketch only from a folder of the same name, at most 63 characters."""
        folder = export_model(bit_model(name=name), "arduino", tmp_path / "out")
        (sketch,) = folder.rglob("*.ino")
        assert sketch.parent.name == sketch.stem == library_name(name)
        assert sketch.parent.parent == folder / "examples"
        assert len(sketch.stem) <= 63

    def test_keywords(self, tmp_path: Path) -> None:
        """Each keyword, a tab and its kind; the words are in the header."""
        folder = export_model(bit_model(), "arduino", tmp_path / "out")
        header = "".join(path.read_text() for path in (folder / "src").glob("*.h"))
        lines = [
            line for line in (folder / "keywords.txt").read_text().splitlines() if line and line[0] != "#"
        ]
        pairs = [line.split("\t") for line in lines]
        assert all(re.search(rf"\b{word}\b", header) for word, _ in pairs)
        assert {kind for _, kind in pairs} == {"KEYWORD1", "KEYWORD2", "LITERAL1"}
        assert "bits_40_pack" in {word for word, _ in pairs}

    @pytest.mark.parametrize("target", ["arduino", "platformio"])
    @pytest.mark.parametrize("name", ["Arduino", "SPI", "WString", "print"])
    def test_names_of_the_cores_own_headers_are_refused(self, target: str, name: str, tmp_path: Path) -> None:
        """A library whose header hides Arduino.h could not be compiled; the message says what to do."""
        with pytest.raises(ExportError) as caught:
            export_model(bit_model(name=name), target, tmp_path / "out")
        assert str(caught.value) == (
            f"the model has the name of one of Arduino's own headers: got {name}. "
            "Train or save it under another name."
        )
        assert not list(tmp_path.iterdir())

    def test_core_headers_are_known(self) -> None:
        """Every header of the installed core is on the list."""
        folder = Path("/usr/share/arduino/hardware/arduino/avr/cores/arduino")
        if not folder.is_dir():
            absent("Arduino's core (arduino-core-avr)")
        stems = {path.stem.lower() for path in folder.glob("*.h")}
        assert stems <= CORE_HEADERS


class TestPlatformIO:
    @pytest.mark.parametrize("name", NAMES)
    def test_library_json(self, name: str, tmp_path: Path) -> None:
        """The rules of PlatformIO's manifest schema hold (platformio 6, package/manifest/schema.py)."""
        model = bit_model(name=name)
        folder = export_model(model, "platformio", tmp_path / "out")
        found = json.loads((folder / "library.json").read_text())
        assert re.fullmatch(r"[^:;/,@<>]{1,100}", found["name"])
        assert SEMVER.fullmatch(found["version"])
        assert 1 <= len(found["description"]) <= 1000
        assert model.digest in found["description"]
        assert all(re.fullmatch(r"[a-z\d\-_+. ]{1,50}", word) for word in found["keywords"])
        assert all(1 <= len(author["name"]) <= 100 for author in found["authors"])
        assert (found["frameworks"], found["platforms"]) == ("*", "*")
        assert (folder / "src" / found["headers"]).is_file()
        for example in found["examples"]:
            assert re.fullmatch(r"[a-zA-Z\d\-_/. ]+", example["name"])
            assert all((folder / example["base"] / name).is_file() for name in example["files"])
        assert "license" not in found  # checking it would download the list of licences

    def test_example_project(self, tmp_path: Path) -> None:
        """Each environment compiles a file that exists, and takes the library from two folders up."""
        from configparser import ConfigParser

        folder = export_model(bit_model(), "platformio", tmp_path / "out")
        project = folder / "examples" / "known_vectors"
        config = ConfigParser()
        config.read(project / "platformio.ini")
        assert config["platformio"]["default_envs"] in {
            name.removeprefix("env:") for name in config.sections()
        }
        assert (project / config["env"]["lib_deps"].removeprefix("symlink://") / "library.json").is_file()
        for section in ("env:native", "env:uno"):
            source = re.fullmatch(r"\+<(.*)>", config[section]["build_src_filter"])
            assert source is not None
            assert (project / "src" / source[1]).is_file()


class TestZephyr:
    @pytest.mark.parametrize("name", NAMES)
    def test_module_yml(self, name: str, tmp_path: Path, need: Need) -> None:
        """Keys and types are those of Zephyr's schema (scripts/zephyr_module.py), and the paths exist."""
        folder = export_model(bit_model(name=name), "zephyr", tmp_path / "out")
        found = need("yaml").safe_load((folder / "zephyr" / "module.yml").read_text())
        assert set(found) == {"name", "build", "samples"}
        assert set(found["build"]) == {"cmake", "kconfig"}
        assert re.fullmatch(r"binn_[A-Za-z0-9_]+", found["name"])
        assert (folder / found["build"]["cmake"] / "CMakeLists.txt").is_file()
        assert (folder / found["build"]["kconfig"]).is_file()
        assert all((folder / sample).is_dir() for sample in found["samples"])

    def test_symbol_is_the_same_everywhere(self, tmp_path: Path) -> None:
        """Kconfig defines the symbol that CMake asks for and that the sample sets."""
        folder = export_model(bit_model(), "zephyr", tmp_path / "out")
        defined = re.findall(r"^config (\w+)$", (folder / "Kconfig").read_text(), re.MULTILINE)
        assert defined == ["BINN_BITS_40"]
        assert "if(CONFIG_BINN_BITS_40)" in (folder / "CMakeLists.txt").read_text()
        assert "CONFIG_BINN_BITS_40=y" in (folder / "samples/known_vectors/prj.conf").read_text().split()

    def test_sample_yaml(self, tmp_path: Path, need: Need) -> None:
        """Twister's test has a dotted name, and its pattern is what the sample prints where it is right."""
        folder = export_model(bit_model(), "zephyr", tmp_path / "out")
        found = need("yaml").safe_load((folder / "samples/known_vectors/sample.yaml").read_text())
        assert set(found) == {"sample", "common", "tests"}
        (test,) = found["tests"]
        assert re.fullmatch(r"[a-zA-Z0-9_]+(\.[a-zA-Z0-9_]+)+", test)
        (pattern,) = found["common"]["harness_config"]["regex"]
        assert re.fullmatch(pattern, "PASS: 8 of 8 vectors are right")


class TestEspIdf:
    SLUG = re.compile(r"[a-zA-Z\d]+(?:(?:[_-](?![_-]+))|(?:[a-zA-Z\d]))*[a-zA-Z\d]+")

    @pytest.mark.parametrize("name", NAMES)
    def test_component_name(self, name: str) -> None:
        """The component manager's rules hold: single separators, none at the end, at most 64 characters."""
        found = component_name(name)
        assert self.SLUG.fullmatch(found)
        assert len(found) <= 64

    def test_manifest(self, tmp_path: Path, need: Need) -> None:
        """The manifest has the component manager's fields, all of them texts, and depends on ESP-IDF only."""
        model = bit_model()
        folder = export_model(model, "esp-idf", tmp_path / "out")
        found = need("yaml").safe_load((folder / "idf_component.yml").read_text())
        assert set(found) == {"version", "description", "url", "license", "dependencies"}
        assert SEMVER.fullmatch(found["version"])
        assert model.digest in found["description"]
        assert found["license"] == "Apache-2.0"
        assert found["dependencies"] == {"idf": ">=4.4"}

    def test_every_source_is_registered(self, tmp_path: Path) -> None:
        """CMake lists exactly the C files below src/."""
        folder = export_model(bit_model(), "esp-idf", tmp_path / "out")
        listed = re.findall(r"src/\S+\.c", (folder / "CMakeLists.txt").read_text())
        assert sorted(listed) == sorted(f"src/{path.name}" for path in (folder / "src").iterdir())


class TestCmsisPack:
    def package(self, folder: Path) -> ElementTree.Element:
        (path,) = folder.glob("*.pdsc")
        return ElementTree.fromstring(path.read_bytes())

    @pytest.mark.parametrize("name", NAMES)
    def test_description(self, name: str, tmp_path: Path) -> None:
        """Elements, attributes and their patterns are those of PACK.xsd 1.7 for a pack of one component."""
        model = bit_model(name=name)
        folder = export_model(model, "cmsis-pack", tmp_path / "out")
        root = self.package(folder)
        text = {child.tag: (child.text or "").strip() for child in root}
        assert root.tag == "package"
        assert re.fullmatch(r"\d+\.\d+(\.\d+)?", root.attrib["schemaVersion"])
        sections = "vendor name description url license releases keywords taxonomy components"
        assert list(text) == sections.split()
        assert re.fullmatch(r"[\-_A-Za-z0-9]+", text["name"])
        assert re.fullmatch(r"[\-_A-Za-z0-9]+", text["vendor"])
        assert model.digest in text["description"]
        (release,) = root.iterfind("releases/release")
        (component,) = root.iterfind("components/component")
        assert SEMVER.fullmatch(release.attrib["version"])
        assert component.attrib["Cversion"] == release.attrib["version"]
        for part in ("Cclass", "Cgroup"):
            assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_+()'/\-\s.]{1,31}", component.attrib[part])
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_+():/\- .]{0,31}", component.attrib["Csub"])
        (pack,) = folder.glob("*.pack")
        assert pack.name == f"{text['vendor']}.{text['name']}.{release.attrib['version']}.pack"

    def test_files(self, tmp_path: Path) -> None:
        """Each file of the component is in the archive, and each C file of the archive in the component."""
        folder = export_model(bit_model(), "cmsis-pack", tmp_path / "out")
        files = list(self.package(folder).iterfind("components/component/files/file"))
        (pack,) = folder.glob("*.pack")
        with zipfile.ZipFile(pack) as archive:
            assert archive.testzip() is None
            names = archive.namelist()
        listed = [file.attrib["name"] for file in files if file.attrib["category"] != "include"]
        assert set(listed) <= set(names)
        assert sorted(name for name in names if name.endswith((".c", ".h"))) == sorted(
            name for name in listed if name != "README.md"
        )
        assert {file.attrib["category"] for file in files} == {"doc", "include", "header", "source"}
        (include,) = (file.attrib["name"] for file in files if file.attrib["category"] == "include")
        assert any(name.startswith(include) for name in names)
        templates = {file.attrib["name"] for file in files if file.get("attr") == "template"}
        assert templates == {"templates/bits_40_check.c", "templates/bits_40_vectors.h"}

    def test_archive(self, tmp_path: Path) -> None:
        """The archive repeats the files beside it, in order and without a date."""
        folder = export_model(bit_model(), "cmsis-pack", tmp_path / "out")
        (pack,) = folder.glob("*.pack")
        with zipfile.ZipFile(pack) as archive:
            names = archive.namelist()
            assert names == sorted(names)
            assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
            beside = {path.name for path in folder.iterdir()} - {pack.name}
            assert all(archive.read(name) == (folder / name).read_bytes() for name in beside)

    @pytest.mark.parametrize("kind", sorted(MODELS))
    def test_xml_is_well_formed(self, kind: str, tmp_path: Path) -> None:
        """The program xmllint has nothing to say about the description."""
        xmllint = shutil.which("xmllint")
        if xmllint is None:
            absent("xmllint")
        folder = export_model(MODELS[kind](), "cmsis-pack", tmp_path / "out")
        (pdsc,) = folder.glob("*.pdsc")
        result = run_tool([xmllint, "--noout", str(pdsc)], timeout_s=30)
        assert result.stderr == ""
