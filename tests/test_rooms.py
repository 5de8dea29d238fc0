"""The house: who may import whom, and which packages may be imported when."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import qhn2edge

PACKAGE = Path(qhn2edge.__file__).parent

# The rooms from the ground up (see CONTRIBUTING.md): a module may import its own room and those above it.
ROOMS = (
    ("", "errors", "storage", "resources", "bitstrings", "compiled"),
    ("data",),
    ("layers", "convolution", "ranges", "model", "file_fields", "file_layers", "modelfile", "interpreter"),
    ("activations", "fields", "architecture", "space"),
    ("losses", "loss_kernels", "cost", "enumeration", "sampled_costs"),
    ("circuits",),
    ("optimizers",),
    ("searches", "polish"),
    ("objectives", "settings", "results", "recipes", "distribution", "training", "baselines", "runs"),
    ("backends",),
    ("toolchain", "optional_tools"),
    ("importers",),
    ("boards",),
    ("building",),
    ("link",),
    ("emulators",),
    ("flashing",),
    ("verify",),
    ("report",),
    ("studies",),
    ("options", "options_boards", "request", "commands", "cli_frame", "cli_boards", "cli", "__main__"),
)
LEVEL = {name: level for level, room in enumerate(ROOMS) for name in room}
HEAVY = (
    "jax",
    "numba",
    "pennylane",
    "scipy",
    "sklearn",
    "mlxtend",
    "matplotlib",
    "tensorflow",
    "hls4ml",
    "onnx",
    "larq",
    "tf_keras",
    "onnxruntime",
    "qonnx",
    "capstone",
    "elftools",
    "intelhex",
    "serial",
    "unicorn",
)


def room_of(module: str) -> str:
    """Return ``data`` for ``qhn2edge.data.encoder``, and the empty text for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), path


def imports(path: Path, everywhere: bool) -> Iterator[str]:
    """Yield the modules that a file imports, at its top level or everywhere."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (
                f"{node.module}.{alias.name}" if node.module == "qhn2edge" else node.module
                for alias in node.names
            )


@pytest.mark.parametrize(("module", "path"), list(modules()), ids=lambda value: str(value).rsplit("/", 1)[-1])
def test_imports_go_up(module: str, path: Path) -> None:
    """A module imports only its own room and the rooms above it, in functions too."""
    level = LEVEL[room_of(module)]
    # The package's __version__ may be read from anywhere; its lazy names may not.
    used = {name for name in imports(path, everywhere=True) if name.split(".")[0] == "qhn2edge"}
    wrong = {name for name in used if LEVEL.get(room_of(name), 0) > level}
    assert wrong == set()


@pytest.mark.parametrize(("module", "path"), list(modules()), ids=lambda value: str(value).rsplit("/", 1)[-1])
def test_heavy_packages_are_imported_late(module: str, path: Path) -> None:
    """No module imports a heavy package at its top level."""
    assert {name.split(".")[0] for name in imports(path, everywhere=False)}.isdisjoint(HEAVY)


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["--version"]])
def test_help_needs_only_click(arguments: list[str]) -> None:
    """Help and version answer although every package but click is out of reach."""
    code = (
        "import sys\n"
        f"for name in {(*HEAVY, 'numpy', 'rich', 'tomli_w', 'platformdirs')!r}: sys.modules[name] = None\n"
        "from qhn2edge.cli import main\n"
        f"main({arguments!r})\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "qhn2edge" in result.stdout


def test_public_names_exist() -> None:
    """Every public name of the package can be imported, and an unknown one cannot."""
    for name in qhn2edge.__all__:
        assert getattr(qhn2edge, name) is not None
    assert set(qhn2edge.__all__) <= set(dir(qhn2edge))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = qhn2edge.no_such_name


def test_data_folders_hold_no_python() -> None:
    """Everything Python is under qhn2edge/; export/ and firmware/ are data."""
    root = PACKAGE.parent
    assert (root / "export").is_dir()
    assert [p for folder in ("export", "firmware") for p in (root / folder).rglob("*.py")] == []


def test_public_names_are_no_modules() -> None:
    """No public name is a module's name: importing that module would hide it."""
    tops = {name.split(".")[1] for name, _ in modules() if name.count(".") == 1}
    assert tops.isdisjoint(qhn2edge.__all__)
