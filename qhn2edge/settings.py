"""What a training run does, apart from its data and search space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from qhn2edge.cost import DEFAULT_MEMORY_BYTES
from qhn2edge.errors import TrainingError
from qhn2edge.model import check_name
from qhn2edge.optimizers import OPTIMIZERS
from qhn2edge.storage import JsonObject

PICKS = ("measured", "probable")
EXACT_OBJECTIVE = "gibbs:200"


@dataclass(frozen=True)
class TrainingSettings:
    """What a training run does, apart from its data and search space.

    Args:
        ansatz: "brickwork" (the paper's), "ring", "hardware-efficient" or "product" (circuits/ansaetze.py).
        depth: layers of the ansatz, 1 or more; 1 is the product state.
        restarts: independent runs from random angles, 1 or more.
        optimizer: "lbfgs" or "adam" (exact gradients over all 2^N costs), "spsa", "qn-spsa" or "reinforce"
            (measurements only), or a classical search ("annealing", ...; see searches/).
        optimizer_options: options of the optimiser, such as ``{"max_iterations": 500}``.
        objective: "mean" (the paper's), "cvar:SHARE" or "gibbs:BETA" (see objectives.py); "auto" is the one
            that finds the optimum most often (benchmarks/recipes.py): "gibbs:200" where gradients are exact,
            "mean" where there are measurements only.
        engine: "auto" or "statevector" (the faster exact one), "cut", "gatewise", "pennylane", "density"
            (with noise), or "mps" (measurements only).
        device: PennyLane device of the engine "pennylane"; None for lightning.qubit.
        device_options: options of that device.
        noise: depolarising noise of the engine "density", in units of the paper's rates, 0 or more.
        readout: probability that the engine "density" reads a bit wrongly, 0..1.
        shots: measurements of one evaluation in training from measurements, 1 or more.
        validation_shots: measurements of each trained circuit; None for as many as ``shots``.
        loss: "bce", "cce" or "mse"; None picks cross-entropy.
        pick: which bitstring becomes the model: "measured" (the best measured one of all restarts) or
            "probable" (the most probable one of the restart with the lowest energy).
        seed: seed of angles and measurements, 0 or more.
        memory_bytes: bound on the working memory of the cost enumeration.
        name: the model's name; None makes one from the data set's name.

    Raises:
        TrainingError: a value is out of range.
    """

    ansatz: str = "brickwork"
    depth: int = 4
    restarts: int = 10
    optimizer: str = "lbfgs"
    optimizer_options: Mapping[str, float] = field(default_factory=dict)
    objective: str = "auto"
    engine: str = "auto"
    device: str | None = None
    device_options: Mapping[str, Any] = field(default_factory=dict)
    noise: float = 0.0
    readout: float = 0.0
    shots: int = 1000
    validation_shots: int | None = None
    loss: str | None = None
    pick: str = "measured"
    seed: int = 0
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    name: str | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, least in (
            ("depth", 1),
            ("restarts", 1),
            ("shots", 1),
            ("seed", 0),
            ("memory_bytes", 2**20),
        ):
            value = getattr(self, name)
            if value < least:
                raise TrainingError(f"{name} is impossible", got=value, expected=f"{least} or more")
        if self.n_validation_shots < 1:
            raise TrainingError(
                "validation_shots is impossible", got=self.validation_shots, expected="1 or more"
            )
        if (self.noise or self.readout) and self.engine != "density":
            raise TrainingError(
                "only the density engine simulates noise", got=self.engine, next_step="add --engine density"
            )
        if self.pick not in PICKS:
            raise TrainingError("unknown pick", got=self.pick, expected=" or ".join(PICKS))
        if self.name is not None:
            check_name(self.name)

    @property
    def chosen_objective(self) -> str:
        """The objective, "auto" replaced by what it stands for."""
        if self.objective != "auto":
            return self.objective
        return EXACT_OBJECTIVE if self.optimizer in OPTIMIZERS else "mean"

    @property
    def n_validation_shots(self) -> int:
        """Measurements of each trained circuit."""
        return self.shots if self.validation_shots is None else self.validation_shots

    def to_json(self) -> JsonObject:
        """Return all settings, for provenance and digests."""
        return asdict(self)
