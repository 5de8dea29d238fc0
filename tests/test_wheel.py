"""The built wheel: what is in it, and that it works outside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a command outside the checkout and return its output."""
    clean = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PYTHONHOME"}}
    result = subprocess.run(
        [str(word) for word in command],
        cwd=cwd, env={**clean, **environment}, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by its own build back end."""
    folder = tmp_path_factory.mktemp("wheel")
    code = f"import hatchling.build as b; print(b.build_wheel({str(folder)!r}))"
    run(sys.executable, "-c", code, cwd=ROOT)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the wheel; its dependencies come from a path that a test may leave out."""
    folder = tmp_path_factory.mktemp("env")
    venv.create(folder, with_pip=False)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return python


def dependencies() -> str:
    """Return the folder in which the test environment keeps its packages."""
    import numpy as np

    return str(Path(np.__file__).parent.parent)


def test_contents(wheel: Path) -> None:
    """The wheel holds the package with its data folders, its type marker and licence, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {name.split("/")[0] for name in names}
    assert all(top == "qhn2edge" or top.endswith(".dist-info") for top in tops)
    assert "qhn2edge/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    for folder in ("export", "firmware"):
        expected = {
            f"qhn2edge/_data/{path.relative_to(ROOT).as_posix()}"
            for path in (ROOT / folder).rglob("*")
            if path.is_file()
        }
        assert expected, folder
        assert expected <= names
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "qhn2edge").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules


def test_help_without_optional_packages(installed: Path, tmp_path: Path) -> None:
    """``--help`` answers with nothing installed but click."""
    import click

    (tmp_path / "click").symlink_to(Path(click.__file__).parent, target_is_directory=True)
    text = run(installed, "-m", "qhn2edge", "--help", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert "train" in text
    assert "verify" in text


def test_works_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    """The installed package writes a model, exports C from its shipped templates, and finds no checkout."""
    paths = {"PYTHONPATH": dependencies(), "PYTHONSAFEPATH": "1"}
    where = run(installed, "-c", "import qhn2edge; print(qhn2edge.__file__)", cwd=tmp_path, **paths)
    assert not where.startswith(str(ROOT))
    command = (installed, "-m", "qhn2edge")
    run(*command, "random-model", "--layers", "8,3,1", "--out", "m.json", cwd=tmp_path, **paths)
    run(*command, "export", "m.json", "--out", "c", cwd=tmp_path, **paths)
    assert {path.suffix for path in (tmp_path / "c").iterdir()} >= {".c", ".h", ".txt", ".md", ".json"}
