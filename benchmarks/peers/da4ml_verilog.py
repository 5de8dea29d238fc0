"""Writes da4ml's Verilog of integer layers; run by a Python that has it.

Arguments: an NPZ file with the matrices w0, w1, ... and the constants c0, c1, ..., the folder to make, and
the latency after which da4ml puts registers (-1: none). Layer k computes w u + c for bits u in {0, 1}.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from da4ml.codegen import VerilogModel  # type: ignore[import-not-found]
from da4ml.trace import comb_trace  # type: ignore[import-not-found]
from da4ml.trace.fixed_variable_array import (  # type: ignore[import-not-found]
    FixedVariableArray,
)


def main(layers: str, folder: str, cutoff: str) -> None:
    """Write a project a layer."""
    data = np.load(layers)
    for k in range(len(data.files) // 2):
        weights, constants = data[f"w{k}"], data[f"c{k}"]
        n = weights.shape[1]
        bits = (np.zeros(n, dtype=bool), np.ones(n, dtype=int), np.zeros(n, dtype=int))
        x = FixedVariableArray.from_kif(*bits, solver_options={"hard_dc": -1})
        logic = comb_trace(x, x @ weights.T.astype(np.float64) + constants.astype(np.float64))
        VerilogModel(logic, f"layer{k}", Path(folder) / f"layer{k}", latency_cutoff=float(cutoff)).write()


if __name__ == "__main__":
    main(*sys.argv[1:])
