"""The run folder: everything that one training run needs to be repeated, resumed and used.

::

    RUN/config.toml          the options that repeat the run
    RUN/checkpoint.npz       finished restarts and the state of the others
    RUN/result.json          the figures
    RUN/energy.csv           the energy at every evaluation of every restart
    RUN/circuit.json         the trained circuit: ansatz and angles of the restart with the lowest energy
    RUN/NAME.model.json      the trained model
"""

from __future__ import annotations

import io
import json
import time
import tomllib
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.errors import ConfigError, StorageError, TrainingError
from qhn2edge.model import save_model
from qhn2edge.results import Restart, TrainingResult
from qhn2edge.storage import JsonObject, new_folder, read_bytes, write_bytes, write_json, write_text

if TYPE_CHECKING:
    from qhn2edge.circuits.ansatz import Ansatz

CONFIG, CHECKPOINT, RESULT, ENERGY = "config.toml", "checkpoint.npz", "result.json", "energy.csv"
CIRCUIT = "circuit.json"
Arrays = Mapping[str, NDArray[Any]]
_ARRAY_FIELDS = ("theta", "energies", "probable", "measured", "measured_costs", "counts")
_SCALAR_FIELDS = tuple(f.name for f in fields(Restart) if f.name not in _ARRAY_FIELDS)


@dataclass(frozen=True)
class RunFolder:
    """A run folder that exists.

    Args:
        path: the folder.
    """

    path: Path

    @classmethod
    def create(cls, path: Path, config: Mapping[str, Any]) -> RunFolder:
        """Make a new run folder that holds its configuration.

        Raises:
            StorageError: the folder exists already, or cannot be written.
        """
        if path.exists():
            raise StorageError(
                f"the run folder {path} exists already",
                next_step=f"choose another --out, or continue it with --resume {path}",
            )
        with new_folder(path) as folder:
            write_text(
                folder / CONFIG, to_toml(config, f"qhn2edge train --config {CONFIG} --out another-folder")
            )
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Return an existing run folder.

        Raises:
            StorageError: there is none at this path.
        """
        if not (path / CONFIG).is_file():
            raise StorageError(f"{path} is not a run folder", expected=f"a folder with a {CONFIG}")
        return cls(path)

    def config(self) -> dict[str, Any]:
        """Return the options that repeat the run."""
        return read_toml(self.path / CONFIG)

    def checkpoint(self) -> FileCheckpoint:
        """Return the run's checkpoint."""
        return FileCheckpoint(self.path / CHECKPOINT)

    def write_result(self, result: TrainingResult) -> list[Path]:
        """Write the model, the figures and the energy curves; return the paths, the model first."""
        model = save_model(result.model, self.path / f"{result.model.name}.model.json")
        write_json(self.path / RESULT, result.to_json())
        write_text(self.path / ENERGY, energy_csv(result))
        if len(result.best.theta):
            write_json(self.path / CIRCUIT, circuit_json(result))
        return [model, self.path / RESULT, self.path / ENERGY]

    def circuit(self) -> tuple[Ansatz, NDArray[np.float64]]:
        """Return the trained circuit: ansatz and angles.

        Raises:
            TrainingError: the run is not finished, had no circuit (a classical search), or is damaged.
        """
        from qhn2edge.circuits.ansaetze import make_ansatz

        path = self.path / CIRCUIT
        if not path.exists():
            raise TrainingError(
                f"the run {self.path} has no trained circuit",
                next_step="finish it with --resume; a classical search has none",
            )
        try:
            circuit = json.loads(read_bytes(path, "trained circuit"))
            ansatz = make_ansatz(circuit["ansatz"], circuit["n_qubits"], circuit["depth"])
            theta = np.array(circuit["theta"], dtype=np.float64)
        except (ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"the trained circuit {path} is damaged", next_step="run it again") from error
        ansatz.split(theta)
        return ansatz, theta


class FileCheckpoint:
    """Keeps a run's state in one NPZ file, written safely every few seconds.

    Args:
        path: the file.
        interval_s: seconds between two writes; the last state is written by :meth:`flush`.
    """

    def __init__(self, path: Path, interval_s: float = 5.0) -> None:
        self.path = path
        self.interval_s = interval_s
        self._written = time.monotonic()
        self._unsaved: Callable[[], bytes] | None = None

    def load(self, digest: str) -> tuple[list[Restart], dict[int, Arrays]]:
        """Return finished restarts and the saved states of others; both empty where there is no file.

        Raises:
            TrainingError: the file is damaged, or belongs to other data or settings.
        """
        if not self.path.exists():
            return [], {}
        try:
            return _unpack(read_bytes(self.path, "checkpoint"), digest)
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise TrainingError(
                f"the checkpoint {self.path} is damaged", next_step="remove the file to start the run over"
            ) from error

    def save(self, digest: str, done: list[Restart], active: Callable[[], dict[int, Arrays]]) -> None:
        """Remember the state, and write it when the last write is old enough."""
        self._unsaved = lambda: _pack(digest, done, active())
        if time.monotonic() - self._written >= self.interval_s:
            self.flush()

    def flush(self) -> None:
        """Write the remembered state, if it is not written yet."""
        if self._unsaved:
            write_bytes(self.path, self._unsaved())
            self._unsaved = None
            self._written = time.monotonic()


def circuit_json(result: TrainingResult) -> JsonObject:
    """Return the circuit of the restart with the lowest energy: ansatz, sizes, angles."""
    return {
        "ansatz": result.settings.ansatz,
        "n_qubits": result.space.n_bits,
        "depth": result.settings.depth,
        "theta": result.best.theta.tolist(),
    }


def energy_csv(result: TrainingResult) -> str:
    """Return the energies of all restarts as CSV: restart, evaluation, energy."""
    rows = [
        f"{restart.number},{i},{energy!r}"
        for restart in result.restarts
        for i, energy in enumerate(restart.energies.tolist())
    ]
    return "\n".join(["restart,evaluation,energy", *rows]) + "\n"


def to_toml(config: Mapping[str, Any], command: str) -> str:
    """Return a configuration as TOML, with the command that uses it as a comment."""
    import tomli_w

    return f"# {command}\n" + tomli_w.dumps(dict(config))


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        StorageError: it does not exist or cannot be read.
        ConfigError: it is not TOML.
    """
    try:
        return tomllib.loads(read_bytes(path, "configuration file").decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"the configuration file {path} is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the configuration file {path} is not TOML ({error})") from error


def _pack(digest: str, done: list[Restart], active: dict[int, Arrays]) -> bytes:
    arrays: dict[str, Any] = {}
    for restart in done:
        arrays |= {f"done/{restart.number}/{name}": getattr(restart, name) for name in _ARRAY_FIELDS}
    for number, state in active.items():
        arrays |= {f"active/{number}/{name}": array for name, array in state.items()}
    scalars = [{name: getattr(restart, name) for name in _SCALAR_FIELDS} for restart in done]
    head = json.dumps({"digest": digest, "done": scalars, "active": list(active)})
    stream = io.BytesIO()
    np.savez(stream, head=np.array(head), **arrays)
    return stream.getvalue()


def _unpack(content: bytes, digest: str) -> tuple[list[Restart], dict[int, Arrays]]:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        head = json.loads(str(file["head"]))
        if head["digest"] != digest:
            raise TrainingError(
                "the checkpoint belongs to other data or settings",
                next_step="resume with the same data files and an unchanged config.toml",
            )
        arrays = {name: file[name] for name in file.files}
    done = [
        Restart(**scalars, **{name: arrays[f"done/{scalars['number']}/{name}"] for name in _ARRAY_FIELDS})
        for scalars in head["done"]
    ]
    active: dict[int, Arrays] = {}
    for number in head["active"]:
        prefix = f"active/{number}/"
        active[number] = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
    return done, active
