"""From the words of the command line or a TOML file to data set, search space and settings."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qhn2edge.data import DataSet, load_data, parse_size
from qhn2edge.errors import ConfigError
from qhn2edge.settings import TrainingSettings
from qhn2edge.space import SearchSpace

# Options that name a file or folder; a run's configuration keeps them as absolute paths.
_PATH_OPTIONS = ("files",)
_FILE_SUFFIXES = (".csv", ".npz")
LEAST_MEMORY_GB = 0.01


def data_of(options: Mapping[str, Any]) -> DataSet:
    """Return the data set that the data options name.

    Raises:
        ConfigError: no --data.
        DataError, StorageError: see :func:`qhn2edge.data.load_data`.
    """
    if not options.get("data"):
        raise ConfigError("no data set was named", next_step="add --data, for example --data digits:3,7")
    size = options.get("size")
    encoder = options.get("encoder", "auto")
    return load_data(
        options["data"],
        size=parse_size(size) if size else None,
        encoder=None if encoder == "auto" else encoder,
        label=options.get("label"),
        files=options.get("files"),
        test_fraction=options.get("test_fraction", 0.3),
        seed=options.get("data_seed", 0),
        steps=options.get("steps"),
        limit=options.get("limit"),
    )


def space_of(options: Mapping[str, Any], data: DataSet) -> SearchSpace:
    """Return the search space that the space options describe for a data set.

    Raises:
        ConfigError: an option is not a list of the right kind.
        SpaceError: the space is impossible.
    """
    widths = [integers(text, "--width") for text in options.get("width") or ()]
    hidden = integers(options["hidden"], "--hidden") if options.get("hidden") else ()
    if widths and not hidden:
        hidden = tuple(max(choice) for choice in widths)
    return SearchSpace.for_data(
        data,
        hidden=hidden,
        activations=words(options.get("activation") or "relu"),
        widths=tuple(widths),
        levels=tuple(pair(text) for text in options.get("levels") or ("-1,1",)),
        bias=options.get("bias", True),
        links=words(options.get("link") or "sigmoid"),
    )


def settings_of(options: Mapping[str, Any]) -> TrainingSettings:
    """Return the training settings that the training options describe.

    Raises:
        TrainingError: a value is out of range.
    """
    names = ("max_iterations", "learning_rate")
    if not options["memory"] >= LEAST_MEMORY_GB:
        raise ConfigError(
            "--memory is impossible", got=options["memory"], expected=f"{LEAST_MEMORY_GB} GB or more"
        )
    return TrainingSettings(
        ansatz=options.get("ansatz", "brickwork"),
        depth=options["depth"],
        restarts=options["restarts"],
        optimizer=options["optimizer"],
        optimizer_options={
            **{name: options[name] for name in names if options.get(name) is not None},
            **assignments(options.get("optimizer_option") or (), "--optimizer-option"),
        },
        objective=options.get("objective", "auto"),
        engine=options["engine"],
        device=options.get("device"),
        device_options=assignments(options.get("device_option") or (), "--device-option"),
        noise=options.get("noise", 0.0),
        readout=options.get("readout", 0.0),
        shots=options["shots"],
        validation_shots=options.get("validation_shots"),
        loss=None if options["loss"] == "auto" else options["loss"],
        pick=options["pick"],
        seed=options["seed"],
        memory_bytes=int(options["memory"] * 1e9),
        name=options.get("name"),
    )


def config_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options as a configuration that repeats the run from any folder."""
    config = {}
    for name, value in options.items():
        if value is None or value == ():
            continue
        is_path = name in _PATH_OPTIONS or (name == "data" and str(value).lower().endswith(_FILE_SUFFIXES))
        config[name] = (
            str(Path(value).resolve()) if is_path else list(value) if isinstance(value, tuple) else value
        )
    return config


def integers(text: str, option: str) -> tuple[int, ...]:
    """Read ``3,8`` as (3, 8).

    Raises:
        ConfigError: an entry is not an integer.
    """
    try:
        return tuple(int(part) for part in str(text).split(","))
    except ValueError as error:
        raise ConfigError(
            f"{option} is not a list of integers", got=text, expected="such as 3 or 3,8"
        ) from error


def assignments(texts: Sequence[str], option: str) -> dict[str, Any]:
    """Read ``("wires=4", "name=x")`` as {"wires": 4, "name": "x"}: TOML values where they are, else text.

    Raises:
        ConfigError: an entry is not of the form NAME=VALUE.
    """
    return dict(_assignment(text, option) for text in texts)


def _assignment(text: str, option: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (equals and name.isidentifier()):
        raise ConfigError(f"{option} is no assignment", got=text, expected="NAME=VALUE")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value


def words(text: str) -> tuple[str, ...]:
    """Read ``relu,sigmoid`` as ("relu", "sigmoid")."""
    return tuple(part.strip() for part in str(text).split(","))


def pair(text: str) -> tuple[int, int]:
    """Read ``-1,1`` as (-1, 1).

    Raises:
        ConfigError: not two integers.
    """
    values = integers(text, "--levels")
    if len(values) != 2:
        raise ConfigError("--levels is not a pair", got=text, expected="two integers such as -1,1")
    return values[0], values[1]
