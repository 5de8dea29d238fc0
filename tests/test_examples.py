"""The README's program runs, and the reference models are what their commands say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from qhn2edge import interpreter
from qhn2edge.cli import run
from qhn2edge.model import load_model, save_model
from qhn2edge.modelfile import to_text
from qhn2edge.request import data_of
from qhn2edge.runs import read_toml

ROOT = Path(__file__).parent.parent
MODELS = ROOT / "examples" / "models"


@pytest.mark.usefixtures("host_compiler")
def test_readme_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The Python program of the README runs as it stands, and its cross-check is exact."""
    programs = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(programs[0], "README.md", "exec"), {})
    exec(compile(programs[1], "README.md", "exec"), {})
    out = capsys.readouterr().out
    assert "17 bits = W1 16 + b1 1" in out
    assert out.splitlines()[-1].startswith("True ")


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.model.json")), ids=lambda path: path.name)
def test_reference_models_are_canonical(path: Path, tmp_path: Path) -> None:
    """Every reference model is read, and written again to the same bytes."""
    model = load_model(path)
    assert path.name == f"{model.name}.model.json"
    assert save_model(model, tmp_path / "m.json").read_bytes() == path.read_bytes()
    assert to_text(model).isascii()


@pytest.mark.parametrize("name", ["digits-3-7", "gaussian"])
def test_reference_models_come_from_their_configuration(name: str) -> None:
    """A trained reference model was trained on the data set that its configuration names."""
    model = load_model(MODELS / f"{name}.model.json")
    data = data_of(read_toml(MODELS / f"{name}.toml"))
    assert model.provenance["data"]["digest"] == data.digest
    assert model.input.encoder == data.encoder


def test_reference_samples(capsys: pytest.CaptureFixture[str]) -> None:
    """The samples beside the digits model are the first of its test data, as raw features."""
    model, path = load_model(MODELS / "digits-3-7.model.json"), MODELS / "digits-3-7.samples.csv"
    data = data_of(read_toml(MODELS / "digits-3-7.toml"))
    labels = interpreter.predict(model, data.x_test[:8])
    assert run(["predict", str(MODELS / "digits-3-7.model.json"), str(path)]) == 0
    assert capsys.readouterr().out.split() == ["label", *labels]
