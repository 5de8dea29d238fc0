"""The engines by name, and the choice between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import ArrayLike

from qhn2edge.circuits.ansatz import Ansatz, Brickwork
from qhn2edge.circuits.cut import MAX_DEPTH, CutEngine, bond_dimension
from qhn2edge.circuits.density import DensityEngine
from qhn2edge.circuits.engine import Engine
from qhn2edge.circuits.gatewise import GatewiseEngine
from qhn2edge.circuits.reference import PennyLaneEngine
from qhn2edge.errors import CircuitError

ENGINES: dict[str, Callable[..., Engine]] = {
    CutEngine.name: CutEngine,
    GatewiseEngine.name: GatewiseEngine,
    PennyLaneEngine.name: PennyLaneEngine,
    DensityEngine.name: DensityEngine,
}


def make_engine(
    ansatz: Ansatz,
    cost: ArrayLike | None = None,
    name: str = "auto",
    **options: Any,  # noqa: ANN401  (each engine checks its own)
) -> Engine:
    """Return an engine with a cost bound to it.

    Args:
        ansatz: the circuit.
        cost: C(sigma), [2^N], first bit most significant; None for probabilities only.
        name: ``"cut"`` (brickwork only), ``"gatewise"``, ``"pennylane"``, ``"density"`` (noisy), or
            ``"auto"``: whichever of the first two is faster.
        **options: of the engine: ``capacity`` (cut), ``device`` and the device's options (pennylane),
            ``noise`` and ``readout`` (density).

    Returns:
        The engine.

    Raises:
        CircuitError: unknown name or option, a circuit that the engine cannot simulate, a cost of the wrong
            shape.

    Example:
        >>> make_engine(Brickwork(1, 1), [0.0, 1.0], "gatewise").energies([[0.0, 0.0]]).tolist()
        [0.0]
    """
    chosen = fastest_engine(ansatz) if name == "auto" else name
    if chosen not in ENGINES:
        raise CircuitError("unknown engine", got=name, expected=f"auto, statevector, {', '.join(ENGINES)}")
    try:
        return ENGINES[chosen](ansatz, cost, **options)
    except TypeError as error:
        raise CircuitError(f"the {chosen} engine refuses its options", got=f"{options} ({error})") from error


def fastest_engine(ansatz: Ansatz) -> str:
    """Return the faster exact engine: ``"cut"`` for a brickwork with thin bonds, else ``"gatewise"``.

    Measured crossover: bond dimension 32 at 8 and 11 qubits, 64 at 14, 128 at 17, 256 at 20.
    """
    if type(ansatz) is not Brickwork:
        return GatewiseEngine.name
    widest = max(32, 2 ** ((ansatz.n_qubits - 2) // 2))
    thin = ansatz.depth <= MAX_DEPTH and bond_dimension(ansatz.depth) <= widest
    return CutEngine.name if thin else GatewiseEngine.name
