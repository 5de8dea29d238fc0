"""The process that makes one proof: a job in, a JSON object a line out; its memory is bounded.

It is started by proofs.py, which ends it when its time is over, and ends with that process.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qhn2edge import modelfile
from qhn2edge.backends.to_verilog import design_of, verilog_name
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.backends.verilog_parallel import ParallelDesign
from qhn2edge.errors import QhnError
from qhn2edge.model import Model
from qhn2edge.storage import JsonObject
from qhn2edge.verify.proving.diagrams import Diagrams
from qhn2edge.verify.proving.netlist import read_netlist
from qhn2edge.verify.proving.reference import Differs, NotCovered, Reference, Rules
from qhn2edge.verify.proving.results import LAYERS, PROVED, REFUTED, UNDECIDED, WHOLE

WHOLE_BITS = 16
"""Up to this many input bits the whole network is proved at once; beyond, layer by layer."""
MAX_WHOLE_BITS = 24
"""Up to this many it is at least tried, where the layers could not decide."""
_BESIDE = 2**30
"""Bytes of a proof's process beside its diagrams."""
_TELL_EVERY_S = 1.0


@dataclass(frozen=True)
class Job:
    """What is to be proved.

    Attributes:
        model: path of the model file.
        kind: "verilog", "c", "onnx" or "ranges".
        product: path of the netlist, the ELF file or the graph; empty for ranges.
        style: of a Verilog design.
        max_bytes: memory of the diagrams.
    """

    model: str
    kind: str
    product: str
    style: str
    max_bytes: int


def main(text: str) -> None:
    """Make a proof and print what came of it."""
    job = Job(**json.loads(text))
    _limit_memory(job.max_bytes + _BESIDE)
    sys.setrecursionlimit(20_000)
    _tell(result=decided(job, modelfile.read(Path(job.model))))


def decided(job: Job, model: Model) -> JsonObject:
    """Return what came of a job: a verdict and, of a difference, inputs that are to be run."""
    is_small = model.input.n_bits <= WHOLE_BITS
    found = _attempt(job, model, cut=not is_small)
    if found["verdict"] == UNDECIDED and (is_small or model.input.n_bits <= MAX_WHOLE_BITS):
        second = _attempt(job, model, cut=is_small)
        return second if second["verdict"] != UNDECIDED else found
    return found


def _attempt(job: Job, model: Model, *, cut: bool) -> JsonObject:
    d = Diagrams(job.max_bytes)
    say = _Slowly()
    say(f"as a {WHOLE}" if not cut else LAYERS)
    reference = Reference(d, model, Rules(cut), say)
    found: JsonObject = {"method": LAYERS if cut else WHOLE}
    try:
        _prove(job, reference)
    except NotCovered as stop:
        found |= {"verdict": UNDECIDED, "text": str(stop)}
    except Differs as difference:
        reached = difference.candidates.tolist()
        text = f"{difference.where} differs"
        found |= {"verdict": REFUTED, "text": text, "candidates": reached}
    except (MemoryError, ValueError, RuntimeError, OverflowError) as error:
        if not _lacks_memory(error):
            raise
        found |= {"verdict": UNDECIDED, "text": f"the diagrams outgrew {job.max_bytes >> 20:,} MiB"}
    else:
        text = "no accumulator leaves its range" if job.kind == "ranges" else "the model's, for every input"
        found |= {"verdict": PROVED, "text": text}
    return {
        **found,
        "assumptions": reference.assumptions,
        "n_compared": reference.n_compared,
        "peak_nodes": d.peak_nodes,
    }


def _lacks_memory(error: Exception) -> bool:
    """Whether an error is what dd, or Python, says without memory."""
    if isinstance(error, ValueError):
        return "NULL" in str(error)
    if isinstance(error, RuntimeError) and not isinstance(error, RecursionError):
        return "out of memory" in str(error)
    return True


def _prove(job: Job, reference: Reference) -> None:
    model, product = reference.model, Path(job.product)
    match job.kind:
        case "ranges":
            from qhn2edge.verify.proving.prove_ranges import prove_ranges

            prove_ranges(reference)
        case "c":
            from qhn2edge.verify.proving.prove_c import prove_c, read_program

            prove_c(reference, read_program(product, model))
        case "onnx":
            from qhn2edge.verify.proving.prove_onnx import prove_onnx

            prove_onnx(reference, product)
        case "verilog":
            _prove_verilog(job, reference)
        case _:
            raise NotCovered(f"no proof of {job.kind}")


def _prove_verilog(job: Job, reference: Reference) -> None:
    from qhn2edge.verify.proving.prove_verilog import prove_parallel, prove_serial

    netlist = read_netlist(Path(job.product), f"{verilog_name(reference.model)}_binn")
    design = design_of(reference.model, VerilogOptions(job.style))
    if isinstance(design, ParallelDesign):
        prove_parallel(reference, netlist, design)
    else:
        prove_serial(reference, netlist, design.shape)


# ---- the process ----


class _Slowly:
    """Tells of progress, but not too often."""

    def __init__(self) -> None:
        self._last = -_TELL_EVERY_S

    def __call__(self, text: str) -> None:
        """Tell a line, or drop it."""
        if time.monotonic() - self._last >= _TELL_EVERY_S:
            self._last = time.monotonic()
            _tell(say=text)


def _tell(**parts: str | Mapping[str, object]) -> None:
    print(json.dumps(parts), flush=True)


def _limit_memory(n_bytes: int) -> None:
    """Bound the memory of this process, where the system can."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (n_bytes, n_bytes))


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except QhnError as error:
        _tell(result={"verdict": UNDECIDED, "text": str(error)})
