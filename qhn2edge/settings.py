"""What a training run does, apart from its data and search space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from qhn2edge.cost import DEFAULT_MEMORY_BYTES
from qhn2edge.errors import TrainingError
from qhn2edge.model import check_name
from qhn2edge.storage import JsonObject

PICKS = ("measured", "probable")


@dataclass(frozen=True)
class TrainingSettings:
    """What a training run does, apart from its data and search space.

    Args:
        depth: layers of the ansatz, 1 or more; 1 is the product state.
        restarts: independent runs from random angles, 1 or more.
        optimizer: "lbfgs" or "adam" (see optimizers/).
        optimizer_options: options of the optimiser, such as ``{"max_iterations": 500}``.
        engine: "auto", "cut", "gatewise" or "pennylane" (see circuits/).
        shots: measurements of each trained circuit, 1 or more.
        loss: "bce", "cce" or "mse"; None picks cross-entropy.
        pick: which bitstring becomes the model: "measured" (the best measured one of all restarts) or
            "probable" (the most probable one of the restart with the lowest energy).
        seed: seed of angles and measurements, 0 or more.
        memory_bytes: bound on the working memory of the cost enumeration.
        name: the model's name; None makes one from the data set's name.

    Raises:
        TrainingError: a value is out of range.
    """

    depth: int = 4
    restarts: int = 10
    optimizer: str = "lbfgs"
    optimizer_options: Mapping[str, float] = field(default_factory=dict)
    engine: str = "auto"
    shots: int = 1000
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
        if self.pick not in PICKS:
            raise TrainingError("unknown pick", got=self.pick, expected=" or ".join(PICKS))
        if self.name is not None:
            check_name(self.name)

    def to_json(self) -> JsonObject:
        """Return all settings, for provenance and digests."""
        return {**asdict(self), "optimizer_options": dict(self.optimizer_options)}
