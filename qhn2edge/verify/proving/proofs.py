"""Proves backends: makes their files, has them proved in a process of its own, runs what differs."""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge import interpreter
from qhn2edge.backends import MODEL_FILE
from qhn2edge.emulators.child import start_child
from qhn2edge.errors import ConfigError, QhnError, ToolError
from qhn2edge.model import Model, save_model
from qhn2edge.storage import JsonObject
from qhn2edge.verify.proving import diagrams, products
from qhn2edge.verify.proving.diagrams import Say
from qhn2edge.verify.proving.products import PRODUCTS, Product
from qhn2edge.verify.proving.results import REFUTED, UNDECIDED, CounterExample, Proof
from qhn2edge.verify.proving.work import Job

DEFAULT_SECONDS = 120.0
MAX_BYTES = 4 * 2**30


def prove_model(
    model: Model,
    backends: Sequence[str] | None = None,
    *,
    artifacts: Mapping[str, Path] | None = None,
    seconds: float = DEFAULT_SECONDS,
    say: Say = lambda _: None,
) -> tuple[Proof, ...]:
    """Prove that backends compute a model's function, for all inputs.

    Args:
        model: the model.
        backends: names in ``PRODUCTS``; None means ranges, C, Verilog and ONNX.
        artifacts: folders exported earlier, by target; the others are exported afresh.
        seconds: limit for each backend. Running a counter-example comes on top.
        say: told of progress, line by line.

    Returns:
        One result a backend: proved, a counter-example that was run, or not decided, with the reason.

    Raises:
        ConfigError: an unknown backend, or an impossible limit.
        ToolError: the package of diagrams is missing.
    """
    check_seconds(seconds)
    names = list(dict.fromkeys(products.DEFAULT if backends is None else backends))
    for name in names:
        check_backend(name)
    lack = diagrams.missing()
    if lack is not None:
        raise ToolError(lack.rstrip("."))
    proofs = []
    for name in names:
        proof = _prove_one(model, PRODUCTS[name], artifacts or {}, seconds, say)
        say(f"{name}: {proof.verdict}, {proof.seconds:.1f} s")
        proofs.append(proof)
    return tuple(proofs)


def check_seconds(seconds: float) -> None:
    """Refuse an impossible limit.

    Raises:
        ConfigError: it is not above 0.
    """
    if not seconds > 0:
        raise ConfigError("the time for a proof is impossible", got=seconds, expected="seconds above 0")


def check_backend(name: str) -> None:
    """Refuse the name of a backend that cannot be proved.

    Raises:
        ConfigError: it is unknown.
    """
    if name not in PRODUCTS:
        raise ConfigError("nothing to prove by this name", got=name, expected=f"one of {', '.join(PRODUCTS)}")


def _prove_one(
    model: Model, product: Product, artifacts: Mapping[str, Path], seconds: float, say: Say
) -> Proof:
    start = time.monotonic()
    attempt = _Attempt(model, product, start + seconds, lambda text: say(f"{product.name}: {text}"))
    lack = product.missing()
    if lack is not None:
        return Proof(product.name, UNDECIDED, text=lack)
    with tempfile.TemporaryDirectory(prefix="qhn2edge-") as name:
        try:
            proof = attempt.made(Path(name), artifacts.get(product.target))
        except QhnError as error:
            proof = Proof(product.name, UNDECIDED, text=str(error))
    if time.monotonic() - start >= seconds and proof.verdict == UNDECIDED:
        proof = dataclasses.replace(proof, text=f"not within {seconds:g} s ({proof.text})")
    return dataclasses.replace(proof, seconds=time.monotonic() - start)


@dataclass
class _Attempt:
    """One backend on its way to a result."""

    model: Model
    product: Product
    deadline: float
    say: Say
    latest: str = field(default="just begun")

    def made(self, build: Path, folder: Path | None) -> Proof:
        """Return the result, without its time."""
        self._tell("making the files")
        if folder is None:
            folder = build / "export"
            folder.mkdir()
            self.product.export(self.model, folder)
        left = max(0.1, self.deadline - time.monotonic())
        files = self.product.prepare(self.model, folder, build, left)
        job = Job(str(build / MODEL_FILE), self.product.kind, files.product, files.style, max_bytes())
        save_model(self.model, build / MODEL_FILE)
        found = self._worked_out(job, build)
        proof = Proof(
            self.product.name,
            str(found["verdict"]),
            str(found.get("method", "")),
            str(found["text"]),
            tuple(found.get("assumptions", ())),
            n_compared=int(found.get("n_compared", 0)),
            peak_nodes=int(found.get("peak_nodes", 0)),
            versions={**files.versions, "dd": products.version_of("dd")},
            files_digest=files.digest,
        )
        if proof.verdict == REFUTED:
            return self._confirmed(proof, found["candidates"], folder, files.product)
        return proof

    def _tell(self, text: str) -> None:
        self.latest = text
        self.say(text)

    def _worked_out(self, job: Job, build: Path) -> JsonObject:
        """Return what the process of a job says, or that it was ended."""
        command = [
            sys.executable,
            "-m",
            "qhn2edge.verify.proving.work",
            json.dumps(dataclasses.asdict(job)),
        ]
        with (build / "errors.txt").open("w+b") as errors:
            process = start_child(command, errors)
            try:
                found = self._listened(process.stdout)
            finally:
                process.kill()
                process.wait()
                for stream in (process.stdin, process.stdout):
                    if stream is not None:
                        stream.close()
            if found is not None:
                return found
            errors.seek(0)
            last = errors.read().decode("utf-8", errors="replace").strip().splitlines()[-1:]
        if time.monotonic() >= self.deadline:
            return {"verdict": UNDECIDED, "text": self.latest}
        why = last[0] if last else f"its process ended, after: {self.latest}"
        return {"verdict": UNDECIDED, "text": why}

    def _listened(self, stream: IO[bytes] | None) -> JsonObject | None:
        """Return the result that a process prints in time, else None; its progress is told."""
        lines: queue.Queue[bytes] = queue.Queue()
        reader = threading.Thread(target=_read, args=(stream, lines.put), daemon=True)
        reader.start()
        while True:
            try:
                line = lines.get(timeout=max(0.0, self.deadline - time.monotonic()))
            except queue.Empty:
                return None
            if not line:
                return None
            entry: dict[str, Any] = json.loads(line)
            if "result" in entry:
                result: JsonObject = entry["result"]
                return result
            self._tell(str(entry["say"]))

    # ---- a difference ----

    def _confirmed(self, proof: Proof, candidates: list[list[int]], folder: Path, product: str) -> Proof:
        """Run inputs for which the backend seems to differ; without one that does, nothing is decided."""
        x = np.array(candidates, dtype=np.int64).reshape(len(candidates), self.model.input.n_features)
        if not len(x):
            return dataclasses.replace(
                proof, verdict=UNDECIDED, text=f"{proof.text}, for no input that was found"
            )
        self._tell(f"running {len(x)} input(s) for which {proof.text}")
        tried = []
        for name, lack, run in self.product.runs(self.model, folder, product):
            if lack is not None:
                tried.append(lack)
                continue
            example = _first_mismatch(self.model, x, run, name)
            if example is not None:
                return dataclasses.replace(proof, counter_example=example)
            tried.append(f"{name} gives the model's integers for the {len(x)} input(s) tried")
        return dataclasses.replace(
            proof, verdict=UNDECIDED, text=f"{proof.text}, but {'; '.join(tried) or 'it cannot be run'}"
        )


def _read(stream: IO[bytes] | None, put: Callable[[bytes], None]) -> None:
    """Hand on lines until a process closes its output; then an empty one."""
    try:
        for line in stream or ():
            put(line)
    except (OSError, ValueError):  # closed at the other end of this process
        pass
    put(b"")


def _first_mismatch(model: Model, x: NDArray[np.int64], run: products.Run, ran: str) -> CounterExample | None:
    """Return the first input for which a run and the interpreter disagree."""
    expected = interpreter.logits(model, x).astype(np.int64)
    labels = interpreter.class_indices(model, interpreter.logits(model, x))
    got_labels, got = run(x)
    wrong = np.flatnonzero((got != expected).any(axis=1) | (got_labels != labels))
    if not wrong.size:
        return None
    i = int(wrong[0])
    return CounterExample(x[i], int(labels[i]), int(got_labels[i]), expected[i], got[i], ran)


def max_bytes() -> int:
    """Return the memory for diagrams: half of the machine's, at most 4 GiB."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return MAX_BYTES // 2
    return min(MAX_BYTES, total // 2)
