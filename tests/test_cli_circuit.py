"""``qhn2edge info --circuit``: the circuit beside the model that was measured from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qhn2edge.cli import run


@pytest.fixture
def model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A model in the folder of its run."""
    words = "train --data digits:3,7 --size 2x2 --depth 2 --restarts 1 --quiet --name small"
    assert run([*words.split(), "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    return tmp_path / "run/small.model.json"


def test_drawn(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The model's facts are followed by what ``circuit`` draws for its run."""
    assert run(["circuit", str(model.parent)]) == 0
    drawing = capsys.readouterr().out
    assert "5 qubits" in drawing
    assert run(["info", str(model)]) == 0
    facts = capsys.readouterr().out
    assert run(["info", str(model), "--circuit"]) == 0
    assert capsys.readouterr().out == facts + drawing


def test_json(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--json`` has the circuit as one entry among the facts."""
    assert run(["circuit", str(model.parent), "--json"]) == 0
    circuit = json.loads(capsys.readouterr().out)
    assert run(["info", str(model), "--circuit", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["circuit"] == circuit


def test_no_run(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model that does not lie in its run folder has no circuit to draw, in one line."""
    alone = tmp_path / "alone.model.json"
    alone.write_bytes(model.read_bytes())
    assert run(["info", str(alone), "--circuit"]) == 2
    assert "is not a run folder: expected a folder with a config.toml." in capsys.readouterr().err
