"""Which training recipe finds the best network most often, and what it pays for that.

Run from the checkout: ``python benchmarks/recipes.py``. It writes results/recipes.json and .md. The winner
among the exact recipes is the default of ``qhn2edge train``.

Cases: the Gaussian mixture 2 -> 3 -> 1 with the activation as a bit (14 bits, mean squared error), and
digits 3 against 7 at 4x4 (17 bits, cross-entropy). Every recipe starts from the same random angles. A
restart succeeds when its most probable network (of a search: its best) costs within 1e-3 of the lowest of
all 2^N. Exact recipes have all 2^N costs, so what they are charged for is evaluations of energy and gradient;
recipes that measure and classical searches are charged for distinct costs. "To one success" is the mean
charge of a restart divided by the success rate.
"""

from __future__ import annotations

import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from qhn2edge.cost import CostFunction
from qhn2edge.data import DataSet, load_data
from qhn2edge.enumeration import enumerate_costs
from qhn2edge.results import SUCCESS_TOLERANCE
from qhn2edge.settings import TrainingSettings
from qhn2edge.space import SearchSpace
from qhn2edge.studies.intervals import wilson
from qhn2edge.training import train

RESULTS = Path(__file__).parent / "results"
N_EXACT, N_MEASURED = 64, 10
DEPTHS = (1, 2, 4, 6)
Case = tuple[str, DataSet, SearchSpace, str]
EXACT: tuple[tuple[str, str], ...] = (
    ("lbfgs", "mean"),
    ("lbfgs", "gibbs:50"),
    ("lbfgs", "gibbs:200"),
    ("lbfgs", "cvar:0.1"),
    ("adam", "mean"),
    ("adam", "gibbs:50"),
)
MEASURED: tuple[tuple[str, dict[str, Any], int], ...] = (
    ("reinforce", {"max_iterations": 60}, 50),
    ("spsa", {"max_iterations": 150}, 50),
    ("qn-spsa", {"max_iterations": 100}, 50),
    ("random", {"max_evaluations": 3000}, 1),
    ("greedy", {"max_evaluations": 3000}, 1),
    ("annealing", {"max_evaluations": 3000}, 1),
    ("cross-entropy", {"max_evaluations": 3000}, 1),
)


def cases() -> list[Case]:
    """Return the cases: name, data, space, loss."""
    gaussian, digits = load_data("gaussian:200"), load_data("digits:3,7", size=(4, 4))
    mixture = SearchSpace.for_data(gaussian, hidden=(3,), activations=("relu", "sigmoid"))
    images = SearchSpace.for_data(digits)
    return [("gaussian, 14 bits", gaussian, mixture, "mse"), ("digits, 17 bits", digits, images, "bce")]


def measure(case: Case, settings: TrainingSettings, exact: bool) -> dict[str, Any]:
    """Run one recipe on one case and return its row."""
    name, data, space, loss = case
    lowest = float(enumerate_costs(CostFunction(space, data, loss)).min())
    restarts = train(space, data, settings).restarts
    found = [(r.probable_cost if exact else float(r.measured_costs.min())) - lowest for r in restarts]
    successes = sum(gap <= SUCCESS_TOLERANCE for gap in found)
    charges = [len(r.energies) if exact else r.cost_evaluations for r in restarts]
    charge, rate = sum(charges) / len(charges), successes / len(restarts)
    interval = wilson(successes, len(restarts))
    return {
        "case": name,
        "recipe": f"{settings.optimizer}, {settings.objective}" if exact else settings.optimizer,
        "depth": settings.depth,
        "success": rate,
        "interval": [interval.low, interval.high],
        "charge": charge,
        "to_one_success": charge / rate if rate else None,
    }


def main() -> None:
    """Measure every recipe on every case, and write the tables."""
    exact, measured = [], []
    for case in cases():
        for optimizer, objective in EXACT:
            for depth in DEPTHS:
                settings = TrainingSettings(
                    depth=depth, restarts=N_EXACT, optimizer=optimizer, objective=objective, loss=case[3]
                )
                exact.append(measure(case, settings, exact=True))
                print(exact[-1], flush=True)
        for optimizer, options, shots in MEASURED:
            settings = TrainingSettings(
                depth=2,
                restarts=N_MEASURED,
                optimizer=optimizer,
                optimizer_options=options,
                shots=shots,
                loss=case[3],
            )
            measured.append(measure(case, settings, exact=False))
            print(measured[-1], flush=True)
    document = {
        "command": "python benchmarks/recipes.py",
        "exact": exact,
        "measured": measured,
        "versions": {name: metadata.version(name) for name in ("qhn2edge", "numpy", "scipy", "jax")},
        "python": platform.python_version(),
    }
    (RESULTS / "recipes.json").write_text(json.dumps(document, indent=2) + "\n")
    (RESULTS / "recipes.md").write_text(page(exact, measured))


def page(exact: list[dict[str, Any]], measured: list[dict[str, Any]]) -> str:
    """Return the tables as Markdown."""
    return "\n".join(
        (
            "# Training recipes\n",
            f"`python benchmarks/recipes.py`; 95 % Wilson intervals. Exact recipes: {N_EXACT} restarts,",
            "charged for evaluations of objective and gradient over all 2^N costs.\n",
            *table(exact),
            "",
            "Recipes that see measurements only (depth 2, 50 shots) and classical searches:",
            f"{N_MEASURED} restarts, charged for distinct costs; success: the best network was seen.\n",
            *table(measured),
            "",
        )
    )


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Return rows as the lines of a Markdown table."""
    lines = [
        "| case | recipe | depth | success | charge a restart | to one success |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        low, high = row["interval"]
        success = f"{row['success']:.0%} ({low:.0%} to {high:.0%})"
        once = f"{row['to_one_success']:,.0f}" if row["to_one_success"] else "-"
        cells = (row["case"], row["recipe"], row["depth"], success, f"{row['charge']:,.0f}", once)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


if __name__ == "__main__":
    main()
