"""Run folders and TOML files; checkpoints are tested with training, which they serve."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qhn2edge.errors import ConfigError, StorageError
from qhn2edge.runs import RunFolder, read_toml, to_toml

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20)
VALUES = st.one_of(
    st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False), TEXT, st.lists(TEXT)
)


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,12}", fullmatch=True), VALUES))
def test_toml_round_trip(config: dict[str, object]) -> None:
    """What is written as TOML reads back equal."""
    assert tomllib.loads(to_toml(config, "qhn2edge train")) == config


def test_create_and_open(tmp_path: Path) -> None:
    """A new run folder holds its configuration, and can be opened again."""
    run = RunFolder.create(tmp_path / "a" / "run", {"depth": 3})
    assert RunFolder.open(run.path).config() == {"depth": 3}


def test_existing_folder_is_left_alone(tmp_path: Path) -> None:
    """A run folder that exists is refused, with the way to continue it."""
    (tmp_path / "x").write_text("precious")
    with pytest.raises(
        StorageError, match=f"exists already. Choose another --out, or .* --resume {tmp_path}"
    ):
        RunFolder.create(tmp_path, {})
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_open_nothing(tmp_path: Path) -> None:
    """A folder without configuration is no run folder."""
    with pytest.raises(StorageError, match=r"is not a run folder: expected a folder with a config.toml\."):
        RunFolder.open(tmp_path)


def test_read_toml_errors(tmp_path: Path) -> None:
    """Broken TOML and other bytes are refused in one line."""
    path = tmp_path / "c.toml"
    path.write_text("a = = 1\n")
    with pytest.raises(ConfigError, match=r"is not TOML \(Invalid value"):
        read_toml(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        read_toml(path)
