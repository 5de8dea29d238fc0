"""The same energy and gradient by tensorcircuit-ng on JAX; run by a Python that has it.

Reads one JSON line (number of qubits, gates in order, option, and an .npy file each of costs and angles),
compiles, and answers a line: seconds and processor seconds to the first gradient, then all energies and
gradients. Then, for every line with a number, it times that many calls and answers their seconds.

The gates come in this project's order; qubit j is number N - j, so that the first bit of the string is the
peer's first qubit. Everything is complex64, its default.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

START = time.perf_counter()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import tensorcircuit as tc  # type: ignore[import-not-found]  # noqa: E402


def main() -> None:
    """Answer the requests on standard input."""
    request = json.loads(sys.stdin.readline())
    backend = tc.set_backend("jax")
    tc.set_contractor("greedy", preprocessing=request["preprocessing"])
    thetas = np.load(request["thetas"]).astype(np.float32)
    cost = jnp.asarray(np.load(request["cost"]).astype(np.float32))

    def energy(theta: jax.Array) -> jax.Array:
        psi = circuit(request, theta).state()
        return jnp.sum((psi.real**2 + psi.imag**2) * cost)

    value_and_gradient = backend.jit(backend.value_and_grad(energy))
    wait(value_and_gradient(thetas[0]))
    clocks = time.perf_counter() - START, time.process_time()
    values = [value_and_gradient(theta) for theta in thetas]
    answer = {"version": tc.__version__, "ready_clocks": clocks}
    answer["energies"] = [float(value) for value, _ in values]
    answer["gradients"] = [np.asarray(gradient).tolist() for _, gradient in values]
    print(json.dumps(answer), flush=True)
    for line in sys.stdin:
        taken = []
        for k in range(int(line)):
            start = time.perf_counter()
            wait(value_and_gradient(thetas[k % len(thetas)]))
            taken.append(time.perf_counter() - start)
        print(json.dumps(taken), flush=True)


def wait(results: tuple[jax.Array, jax.Array]) -> None:
    """Return when both are computed."""
    for array in results:
        array.block_until_ready()


def circuit(request: dict[str, Any], theta: jax.Array) -> tc.Circuit:
    """Return the circuit with its angles."""
    n_qubits, gates = request["n_qubits"], request["gates"]
    built = tc.Circuit(n_qubits)
    for name, qubits, angle in gates:
        places = [n_qubits - qubit for qubit in qubits]
        if name == "CX":
            built.cx(*places)
        else:
            getattr(built, name.lower())(*places, theta=theta[angle])
    return built


if __name__ == "__main__":
    main()
