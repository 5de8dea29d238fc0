"""The cross-check: for every vector, every backend must give the interpreter's logits and label."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge import interpreter, modelfile
from qhn2edge.backends import MODEL_FILE, target_of
from qhn2edge.errors import ExportError, ToolError, UnsupportedModelError
from qhn2edge.interpreter import LayerTrace
from qhn2edge.model import Model
from qhn2edge.toolchain import stop_tools
from qhn2edge.verify.certificate import (
    EXACT,
    MISMATCH,
    MISSING,
    UNSUPPORTED,
    BackendResult,
    Certificate,
)
from qhn2edge.verify.results import LayerValues, RunResult
from qhn2edge.verify.runners import RUNNERS, Runner, find_runner
from qhn2edge.verify.vectors import IntVectors, Vectors, array_digest, make_vectors

Progress = Callable[[str], None]

_ORACLE_ROWS = 4096
_ORACLE_VALUES = 2**22
"""Values of a layer at once; images have many."""
_SHOWN = 8


@dataclass(frozen=True, eq=False)
class LayerDiff:
    """One layer's integers for one vector: the interpreter's and the backend's, int64 [n_out] each.

    ``got_outputs`` is None where the backend does not tell its outputs (it can only tell integers).
    """

    number: int
    expected: LayerTrace
    got: LayerValues

    @property
    def wrong_accumulators(self) -> NDArray[np.int64]:
        """Units whose accumulators differ."""
        return np.flatnonzero(self.expected.accumulators[0] != self.got.accumulators)

    @property
    def wrong_outputs(self) -> NDArray[np.int64]:
        """Units whose outputs differ; none where the backend does not tell them."""
        if self.got.outputs is None:
            return np.empty(0, dtype=np.int64)
        return np.flatnonzero(self.expected.outputs[0] != self.got.outputs)

    @property
    def agrees(self) -> bool:
        """Whether the layer is free of differences."""
        return not (self.wrong_accumulators.size or self.wrong_outputs.size)

    def __str__(self) -> str:
        """Say in one line where the layer differs first."""
        for what, units, expected, got in (
            ("accumulators", self.wrong_accumulators, self.expected.accumulators[0], self.got.accumulators),
            ("outputs", self.wrong_outputs, self.expected.outputs[0], self.got.outputs),
        ):
            if units.size and got is not None:
                unit = int(units[0])
                return (
                    f"layer {self.number}: {what} of {units.size} unit(s) differ, first of unit {unit}: "
                    f"expected {expected[unit]}, got {got[unit]}"
                )
        return f"layer {self.number}: agrees"


@dataclass(frozen=True, eq=False)
class Mismatch:
    """The first vector for which a backend differs.

    Attributes:
        backend: the backend's name.
        index: the row in the vectors.
        x: int16 [n_features], the raw integers of the vector.
        expected_label, got_label: class indices.
        expected_logits, got_logits: int64 [n_logits].
        layers: the layers' integers, first to last; empty when the backend cannot look inside.
    """

    backend: str
    index: int
    x: IntVectors
    expected_label: int
    got_label: int
    expected_logits: NDArray[np.int64]
    got_logits: NDArray[np.int64]
    layers: tuple[LayerDiff, ...]

    @property
    def first_wrong_layer(self) -> int | None:
        """The number (from 1) of the first layer that differs; None when none does or it is not known."""
        return next((layer.number for layer in self.layers if not layer.agrees), None)

    def __str__(self) -> str:
        """Describe the vector, both results, and every layer."""
        return "\n".join(
            [
                f"{self.backend}: vector {self.index} differs: x = {_shortened(self.x)}",
                f"  expected label {self.expected_label}, logits {_shortened(self.expected_logits)}",
                f"  got      label {self.got_label}, logits {_shortened(self.got_logits)}",
                *(f"  {layer}" for layer in self.layers),
            ]
        )


@dataclass(frozen=True, eq=False)
class Report:
    """The result of a cross-check: its certificate, and the first mismatch of each backend that has one."""

    certificate: Certificate
    mismatches: tuple[Mismatch, ...]

    @property
    def exact(self) -> bool:
        """Whether at least one backend ran and none that ran differed."""
        return self.certificate.exact


def verify_model(
    model: Model,
    x_test: NDArray[np.integer[Any]] | None = None,
    *,
    backends: Sequence[str] | None = None,
    artifacts: str | Path | Mapping[str, str | Path] | None = None,
    seed: int = 0,
    n_random: int = 10_000,
    progress: Progress | None = None,
    further: Sequence[Runner] = (),
    require: Sequence[str] = (),
) -> Report:
    """Run the same vectors through the interpreter and every backend, and compare all integers.

    Args:
        model: the model.
        x_test: the data set's test inputs, integers [n, n_features], already encoded.
        backends: names of the backends to check; None means those of ``artifacts``, else all.
        artifacts: folders exported earlier, by backend name, to be checked as they are; a single path is a
            folder of the target that its files tell. Backends without one are exported afresh. A folder must
            say that it is of this model: its ``model.json`` must have the model's digest, else it is refused,
            because comparing two different models proves nothing. What was changed in its other files is what
            the check finds.
        seed: seed of the random vectors.
        n_random: how many of them.
        progress: called with one line of text at each step.
        further: what else is to be checked, such as :func:`~qhn2edge.verify.runners.board_runner` of a board;
            takes the place of what has the same name.
        require: names of backends that must be checked; a missing one is an error.

    Returns:
        The report. Backends whose tools are missing, and those that cannot express the model, are listed as
        such and do not make it fail.

    Raises:
        InputError: ``x_test`` does not fit the model.
        ExportError: an artifact is of another model, or incomplete.
        ToolError: files do not compile, their program fails, or what is required cannot be checked.
        ConfigError: a backend is unknown.
    """
    folders = _folders(artifacts)
    runners = _runners([*dict.fromkeys([*_chosen(backends, folders), *require])], further)
    for folder in folders.values():
        check_artifact(model, folder)
    say = progress or (lambda _: None)
    vectors = make_vectors(model, x_test, n_random=n_random, seed=seed)
    say(f"interpreter: {len(vectors.x):,} vectors")
    expected = oracle(model, vectors.x)

    def check(runner: Runner) -> tuple[BackendResult, Mismatch | None]:
        folder = folders.get(runner.name)
        try:
            result, mismatch = _check(runner, model, vectors, expected, folder, say)
        except ExportError as error:
            if folder is not None:
                raise
            status = UNSUPPORTED if isinstance(error, UnsupportedModelError) else MISSING
            result, mismatch = _absent(runner, status, str(error), say)
        if result.status in {MISSING, UNSUPPORTED} and runner.name in require:
            raise ToolError(f"{runner.name} is required and cannot be checked", got=result.missing)
        return result, mismatch

    checked = _at_once(check, list(runners.values()))
    results, mismatches = tuple(r for r, _ in checked), tuple(m for _, m in checked if m is not None)
    return Report(_certificate(model, vectors, expected, results), mismatches)


def _at_once(
    check: Callable[[Runner], tuple[BackendResult, Mismatch | None]], runners: Sequence[Runner]
) -> list[tuple[BackendResult, Mismatch | None]]:
    """Check all, as many at once as there are cores: most of the work is that of other programs."""
    with ThreadPoolExecutor(max_workers=min(len(runners), os.cpu_count() or 1) or 1) as pool:
        futures = [pool.submit(check, runner) for runner in runners]
        try:
            return [future.result() for future in futures]
        except BaseException:  # an error of one, or an interrupt, ends the others too
            pool.shutdown(wait=False, cancel_futures=True)
            stop_tools()
            raise


def oracle(model: Model, x: IntVectors) -> RunResult:
    """Return the interpreter's labels and logits, computed in blocks of rows."""
    widest = max(layer.n_out for layer in model.layers)
    n_rows = max(1, min(_ORACLE_ROWS, _ORACLE_VALUES // widest))
    blocks = [interpreter.logits(model, x[i : i + n_rows]) for i in range(0, len(x), n_rows)]
    logits = np.concatenate(blocks)
    return RunResult(interpreter.class_indices(model, logits), logits.astype(np.int64), {}, "")


def check_artifact(model: Model, folder: Path) -> None:
    """Refuse a folder that does not say that it was exported from this model.

    Raises:
        ExportError: its model file is missing or has another digest.
        ModelFileError: its model file is damaged.
    """
    path = folder / MODEL_FILE
    if not path.is_file():
        raise ExportError(
            f"{folder} is not an exported folder", got=f"no {MODEL_FILE}", next_step="export the model again"
        )
    digest = modelfile.read(path).digest
    if digest != model.digest:
        raise ExportError(
            f"{folder} was exported from another model",
            got=digest,
            expected=model.digest,
            next_step="verify it with the model it was made from, or export it again",
        )


def _folders(artifacts: str | Path | Mapping[str, str | Path] | None) -> dict[str, Path]:
    if artifacts is None:
        return {}
    named = artifacts if isinstance(artifacts, Mapping) else {target_of(Path(artifacts)): artifacts}
    return {name: Path(folder) for name, folder in named.items()}


def _chosen(backends: Sequence[str] | None, folders: Mapping[str, Path]) -> Sequence[str]:
    if backends is not None:
        return list(dict.fromkeys(backends))
    return list(folders or RUNNERS)


def _runners(names: Sequence[str], further: Sequence[Runner]) -> dict[str, Runner]:
    given = {runner.name: runner for runner in further}
    return {name: given.get(name) or find_runner(name) for name in names} | given


def _check(
    runner: Runner, model: Model, vectors: Vectors, expected: RunResult, folder: Path | None, say: Progress
) -> tuple[BackendResult, Mismatch | None]:
    missing = runner.missing()
    if missing is not None:
        return _absent(runner, MISSING, missing, say)
    say(f"{runner.name}: {len(vectors.x):,} vectors")
    got = runner.run(model, vectors.x, folder)
    wrong = np.flatnonzero((got.logits != expected.logits).any(axis=1) | (got.labels != expected.labels))
    result = BackendResult(
        name=runner.name,
        status=MISMATCH if wrong.size else EXACT,
        n_vectors=len(vectors.x),
        n_mismatches=int(wrong.size),
        versions=got.versions,
        files_digest=got.files_digest,
    )
    say(f"{runner.name}: {result.status}, {result.n_mismatches:,} mismatches")
    return result, _mismatch(
        runner, model, vectors.x, expected, got, int(wrong[0]), folder
    ) if wrong.size else None


def _absent(runner: Runner, status: str, why: str, say: Progress) -> tuple[BackendResult, None]:
    say(f"{runner.name}: {status}")
    return BackendResult(runner.name, status, missing=why), None


def _mismatch(
    runner: Runner,
    model: Model,
    x: IntVectors,
    expected: RunResult,
    got: RunResult,
    index: int,
    folder: Path | None,
) -> Mismatch:
    return Mismatch(
        backend=runner.name,
        index=index,
        x=x[index],
        expected_label=int(expected.labels[index]),
        got_label=int(got.labels[index]),
        expected_logits=expected.logits[index],
        got_logits=got.logits[index],
        layers=_layer_diffs(runner, model, x[index], folder),
    )


def _layer_diffs(runner: Runner, model: Model, x: IntVectors, folder: Path | None) -> tuple[LayerDiff, ...]:
    """Return the layers side by side, or none where the backend cannot tell: the mismatch stands anyway."""
    try:
        got_layers = runner.trace(model, x, folder) if runner.trace else []
    except ToolError:
        return ()
    if not got_layers:
        return ()
    pairs = zip(interpreter.trace(model, x[None, :]), got_layers, strict=True)
    return tuple(LayerDiff(number, expected, got) for number, (expected, got) in enumerate(pairs, start=1))


def _certificate(
    model: Model, vectors: Vectors, expected: RunResult, results: tuple[BackendResult, ...]
) -> Certificate:
    return Certificate(
        model_name=model.name,
        model_digest=model.digest,
        vectors_digest=vectors.digest,
        n_vectors=len(vectors.x),
        exhaustive=vectors.exhaustive,
        seed=vectors.seed,
        parts={name: part.stop - part.start for name, part in vectors.parts.items()},
        logits_digest=array_digest(expected.logits, "<i4"),
        backends=results,
    )


def _shortened(values: NDArray[np.integer[Any]]) -> str:
    shown = ", ".join(str(int(value)) for value in values[:_SHOWN])
    return f"[{shown}]" if len(values) <= _SHOWN else f"[{shown}, ... {len(values)} values]"
