"""Words become numbers, pairs, spaces and settings, or one clear line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qhn2edge.data import load_data
from qhn2edge.errors import ConfigError
from qhn2edge.request import config_of, data_of, integers, pair, settings_of, space_of, words

TRAINING: dict[str, Any] = {
    "depth": 3,
    "restarts": 2,
    "optimizer": "adam",
    "max_iterations": 7,
    "learning_rate": None,
    "engine": "cut",
    "shots": 5,
    "loss": "mse",
    "pick": "probable",
    "seed": 4,
    "memory": 0.5,
}


@given(st.lists(st.integers(), min_size=1))
def test_integers(values: list[int]) -> None:
    """A comma-separated list reads back as its integers."""
    assert integers(",".join(map(str, values)), "--hidden") == tuple(values)


@pytest.mark.parametrize("text", ["", "a", "1,", "1;2", "1.5"])
def test_not_integers(text: str) -> None:
    """Anything else names the option, the value, and an example."""
    with pytest.raises(
        ConfigError, match="--hidden is not a list of integers: got .*, expected such as 3 or 3,8"
    ):
        integers(text, "--hidden")


def test_pair_and_words() -> None:
    """Level pairs are two integers; names are stripped."""
    assert pair("-3,1") == (-3, 1)
    assert words("relu, sigmoid") == ("relu", "sigmoid")
    with pytest.raises(ConfigError, match="--levels is not a pair: got 1,2,3"):
        pair("1,2,3")


def test_settings() -> None:
    """Every training option arrives where it belongs; options that are not given are left out."""
    settings = settings_of(TRAINING)
    assert (settings.depth, settings.restarts, settings.shots, settings.seed) == (3, 2, 5, 4)
    assert (settings.optimizer, settings.optimizer_options) == ("adam", {"max_iterations": 7})
    assert (settings.engine, settings.loss, settings.pick) == ("cut", "mse", "probable")
    assert settings.memory_bytes == 500_000_000
    assert settings_of({**TRAINING, "loss": "auto"}).loss is None


def test_space() -> None:
    """Width choices imply the hidden width; choices become bits; no bias means no bias field."""
    data = load_data("gaussian:20")
    space = space_of({"width": ("2,3",), "activation": "relu,sigmoid", "levels": ("-1,1", "0,1")}, data)
    assert space.hidden == (3,)
    assert space.n_bits == 6 + 3 + 1 + 3 + 1 + 1 + 1
    assert [f.name for f in space_of({"hidden": "2", "bias": False}, data).fields] == ["W1", "W2"]


def test_data(tmp_path: Path) -> None:
    """The data options arrive at the loader; no data set is an error that says what to add."""
    assert data_of({"data": "digits:3,7", "size": "2x2", "encoder": "bit"}).encoder.kind == "bit"
    with pytest.raises(ConfigError, match="no data set was named. Add --data"):
        data_of({})


def test_config_keeps_what_was_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset options are left out, paths become absolute, tuples become lists."""
    monkeypatch.chdir(tmp_path)
    config = config_of({"data": "t.csv", "files": None, "width": (), "levels": ("-1,1",), "bias": False})
    assert config == {"data": str(tmp_path / "t.csv"), "levels": ["-1,1"], "bias": False}
    assert config_of({"data": "iris"}) == {"data": "iris"}
