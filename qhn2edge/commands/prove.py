"""``qhn2edge verify --prove``: proofs over all inputs, beside the cross-check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qhn2edge.backends import target_of
from qhn2edge.model import Model
from qhn2edge.report.tables import plain_table
from qhn2edge.verify.proving.diagrams import Say
from qhn2edge.verify.proving.products import DEFAULT, PRODUCTS
from qhn2edge.verify.proving.proofs import check_backend, prove_model
from qhn2edge.verify.proving.results import PROVED, Proof
from qhn2edge.verify.runners import RUNNERS

if TYPE_CHECKING:
    from rich.console import Console


def prove(model: Model, options: Mapping[str, Any], say: Say) -> tuple[Proof, ...]:
    """Prove what the options name; nothing where they do not ask for proofs.

    Raises:
        ConfigError, ToolError: see :func:`~qhn2edge.verify.proving.proofs.prove_model`.
    """
    if not options["prove"]:
        return ()
    folder = None if options["artifacts"] is None else Path(options["artifacts"])
    target = None if folder is None else target_of(folder)
    names = options["backends"] or [n for n in DEFAULT if target in {None, n}]
    artifacts = {} if folder is None or target is None else {target: folder}
    return prove_model(model, names, artifacts=artifacts, seconds=options["seconds"], say=say)


def cross_checked(names: Sequence[str], *, proving: bool) -> list[str]:
    """Return the backends to cross-check of those named: of what can only be proved, what it is made from.

    Raises:
        ConfigError: one cannot be proved.
    """
    if not proving:
        return list(names)
    for name in names:
        check_backend(name)
    found = [name if name in RUNNERS else PRODUCTS[name].target for name in names]
    return [name for name in dict.fromkeys(found) if name]


def tell_proofs(console: Console, proofs: Sequence[Proof]) -> None:
    """Print a table of proofs, what they take for granted, and the counter-examples."""
    if not proofs:
        return
    rows = [
        (proof.backend, proof.verdict, proof.method, f"{proof.seconds:.1f} s", proof.text) for proof in proofs
    ]
    console.print(plain_table(("proof of", "result", "how", "time", ""), rows))
    for proof in proofs:
        for assumption in proof.assumptions if proof.verdict == PROVED else ():
            console.print(f"{proof.backend}: provided that {assumption}", markup=False)
        if proof.counter_example is not None:
            console.print(f"{proof.backend}: {proof.text}\n{proof.counter_example}", markup=False)
