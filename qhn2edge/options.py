"""Every command-line option, defined once. Commands stack them; request.py gives them their meaning.

This module imports click and nothing heavy, so that ``qhn2edge --help`` answers at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from qhn2edge.errors import ConfigError

Command = TypeVar("Command", bound=Callable[..., Any])


def stack(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Return one decorator that applies options in the order in which help shows them."""

    def apply(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


def _read_config(context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Make the entries of a TOML file the defaults of this command's options."""
    if value is not None:
        from qhn2edge.runs import read_toml

        context.default_map = config_defaults(context.command, read_toml(Path(value)), value)
    return value


def config_defaults(command: click.Command, config: dict[str, Any], source: str) -> dict[str, Any]:
    """Return a configuration as defaults of a command's options.

    Raises:
        ConfigError: an entry is not an option of the command, or has a type that no option takes.
    """
    parameters = {p.name: p for p in command.params if p.name and p.name not in {"config", "json"}}
    defaults: dict[str, Any] = {}
    for key, value in config.items():
        name = key.replace("-", "_")
        if name not in parameters:
            near = difflib.get_close_matches(name, parameters, n=1)
            raise ConfigError(
                f"unknown option in {source}",
                got=key,
                next_step=f"did you mean {near[0]}?" if near else f"see qhn2edge {command.name} --help",
            )
        items = value if isinstance(value, list) else [value]
        if any(isinstance(item, dict | list) for item in items):
            raise ConfigError(f"the option {key} in {source} has an impossible type", got=value)
        several = getattr(parameters[name], "multiple", False)
        joined = ",".join(str(item) for item in items) if isinstance(value, list) else value
        defaults[name] = items if several else joined
    return defaults


json_output = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
config = click.option(
    "--config",
    type=click.Path(dir_okay=False),
    is_eager=True,
    expose_value=False,
    callback=_read_config,
    help="TOML file with any of these options; the command line wins.",
)
quiet = click.option("--quiet", is_flag=True, help="Show no progress.")

# --- data ---------------------------------------------------------------------------------------------
data = click.option(
    "--data",
    metavar="SPEC",
    help="digits:3,7 | mnist:0,1 | gaussian:200 | iris | wine | breast-cancer | FILE.csv | FILE.npz",
)
size = click.option("--size", metavar="RxC", help="Shrink images to R x C pixels (area average).")
encoder = click.option(
    "--encoder",
    type=click.Choice(["auto", "bit", "uint8", "int8"]),
    default="auto",
    show_default=True,
    help="How raw features become integers.",
)
steps = click.option(
    "--steps", type=int, metavar="N", help="Encoder resolution: integer steps that stand for 1.0."
)
label = click.option("--label", metavar="COLUMN", help="Label column of a CSV or NPZ file.")
files = click.option(
    "--files", type=click.Path(), metavar="PATH", help="mnist: folder with IDX files, or an NPZ file."
)
test_fraction = click.option(
    "--test-fraction", type=float, default=0.3, show_default=True, help="Share of samples kept for testing."
)
limit = click.option("--limit", type=int, metavar="N", help="Use at most N training samples.")
data_seed = click.option(
    "--data-seed", type=int, default=0, show_default=True, help="Seed of the split and of drawn samples."
)
data_options = stack(data, size, encoder, steps, label, files, test_fraction, limit, data_seed)

# --- search space -------------------------------------------------------------------------------------
hidden = click.option("--hidden", metavar="N[,N...]", help="Widths of the hidden layers; none by default.")
activation = click.option(
    "--activation",
    metavar="NAME[,NAME]",
    default="relu",
    show_default=True,
    help="sign, relu, relu8, sigmoid or tanh; several become a choice, decided by bits.",
)
width = click.option(
    "--width",
    metavar="N,N[,...]",
    multiple=True,
    help="Hidden widths to choose from, decided by bits; repeat it for each hidden layer.",
)
levels = click.option(
    "--levels",
    metavar="LO,HI",
    multiple=True,
    default=("-1,1",),
    show_default=True,
    help="The two weight values; repeated, the pair becomes a choice, decided by bits.",
)
link = click.option(
    "--link",
    metavar="NAME[,NAME]",
    default="sigmoid",
    show_default=True,
    help="Activation of the output of two classes: sigmoid or relu; both become a choice.",
)
bias = click.option("--bias/--no-bias", default=True, show_default=True, help="One bias bit a unit.")
space_options = stack(hidden, activation, width, levels, link, bias)

# --- training -----------------------------------------------------------------------------------------
loss = click.option(
    "--loss", type=click.Choice(["auto", "bce", "cce", "mse"]), default="auto", show_default=True,
    help="Binary or categorical cross-entropy (auto), or mean squared error.",
)  # fmt: skip
ansatz = click.option(
    "--ansatz",
    metavar="NAME",
    default="brickwork",
    show_default=True,
    help="Circuit: brickwork (the paper's), ring, hardware-efficient or product.",
)
noise = click.option(
    "--noise",
    type=float,
    default=0.0,
    show_default=True,
    help="Noise of --engine density, paper's rates = 1.",
)
readout = click.option(
    "--readout", type=float, default=0.0, show_default=True, help="Readout error of --engine density, 0 to 1."
)
depth = click.option("--depth", type=int, default=4, show_default=True, help="Layers of the circuit.")
restarts = click.option(
    "--restarts", type=int, default=10, show_default=True, help="Independent runs from random angles."
)
optimizer = click.option(
    "--optimizer",
    metavar="NAME",
    default="lbfgs",
    show_default=True,
    help="lbfgs or adam (exact); spsa, qn-spsa or reinforce (measured); or a classical search.",
)
max_iterations = click.option(
    "--max-iterations", type=int, metavar="N", help="Iterations of the optimiser a restart."
)
learning_rate = click.option("--learning-rate", type=float, metavar="F", help="Step size of adam.")
objective = click.option(
    "--objective",
    metavar="NAME",
    default="auto",
    show_default=True,
    help="mean (the paper's), cvar:SHARE, gibbs:BETA; auto: gibbs:200 where gradients are exact, else mean.",
)
engine = click.option(
    "--engine",
    metavar="NAME",
    default="auto",
    show_default=True,
    help="auto, statevector, cut, gatewise, pennylane, density or mps.",
)
device = click.option("--device", metavar="NAME", help="PennyLane device.  [default: lightning.qubit]")
device_option = click.option(
    "--device-option", metavar="K=V", multiple=True, help="Option of the PennyLane device; repeatable."
)
optimizer_option = click.option(
    "--optimizer-option", metavar="K=V", multiple=True, help="Option of the optimiser; repeatable."
)
shots = click.option(
    "--shots", type=int, default=1000, show_default=True, help="Measurements of one evaluation."
)
validation_shots = click.option(
    "--validation-shots", type=int, metavar="N", help="Measurements of a trained circuit.  [default: --shots]"
)
pick = click.option(
    "--pick",
    type=click.Choice(["measured", "probable"]),
    default="measured",
    show_default=True,
    help="The model: the best measured bitstring, or the most probable one.",
)
seed = click.option("--seed", type=int, default=0, show_default=True, help="Seed of angles and measurements.")
memory = click.option(
    "--memory", type=float, default=1.0, show_default=True, metavar="GB", help="Working memory for the costs."
)
name = click.option("--name", metavar="NAME", help="The model's name.  [default: from the data set]")
training_options = stack(
    name,
    loss,
    ansatz,
    depth,
    restarts,
    optimizer,
    max_iterations,
    learning_rate,
    optimizer_option,
    objective,
    engine,
    device,
    device_option,
    noise,
    readout,
    shots,
    validation_shots,
    pick,
    seed,
    memory,
)
cache = click.option(
    "--cache",
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="Where enumerated costs are kept for reuse.  [default: the user's cache folder]",
)

workers = click.option(
    "--workers", type=int, default=1, show_default=True, help="Processes that share the restarts."
)
scheduler = click.option(
    "--scheduler", metavar="ADDRESS", help="Dask cluster that runs the restarts: tcp://host:8786."
)
polish = click.option(
    "--polish", is_flag=True, help="Also improve the result by single bit flips, and report that apart."
)

# --- models and files ---------------------------------------------------------------------------------
model_argument = click.argument("model", type=click.Path(dir_okay=False))
run_out = click.option(
    "--out", type=click.Path(), metavar="RUN", help="Run folder to make.  [default: runs/NAME, numbered]"
)
resume = click.option("--resume", type=click.Path(), metavar="RUN", help="Continue a stopped run.")
replace = click.option("--replace", is_flag=True, help="Replace an existing output.")
target_name = click.option(
    "--target",
    metavar="NAME",
    default="c",
    show_default=True,
    help="c, c-batch, verilog, hls4ml, larq, onnx, qonnx, arduino, platformio, zephyr, esp-idf, cmsis-pack.",
)
raw_input = click.option(
    "--raw-input", is_flag=True, help="onnx, larq: the graph starts with the encoder and takes raw features."
)
hls_backend = click.option(
    "--backend",
    "hls_backend",
    type=click.Choice(["Vitis", "Vivado", "Quartus", "oneAPI", "Catapult"], case_sensitive=False),
    help="hls4ml: the vendor's tool.  [default: Vitis]",
)
hls_io = click.option(
    "--io",
    "hls_io",
    type=click.Choice(["parallel", "stream"]),
    help="hls4ml: all features at once, or a stream of vectors.  [default: parallel]",
)
hls_reuse = click.option(
    "--reuse", "hls_reuse", type=int, metavar="N", help="hls4ml: uses of a product a vector.  [default: 1]"
)
hls_part = click.option("--part", "hls_part", metavar="NAME", help="hls4ml: the chip, in the tool's words.")
hls_options = stack(hls_backend, hls_io, hls_reuse, hls_part)
target = stack(target_name, raw_input, hls_options)

# --- import -------------------------------------------------------------------------------------------
import_options = stack(
    click.option("--name", metavar="NAME", help="The model's name.  [default: from the file's name]"),
    click.option("--classes", metavar="A,B[,...]", help="The class labels.  [default: 0,1,...]"),
    click.option(
        "--input",
        "input_kind",
        type=click.Choice(["auto", "bit", "uint8", "int8"]),
        default="auto",
        show_default=True,
        help="Integers that the network gets; auto: bits where it takes their sign first, else uint8.",
    ),
    click.option(
        "--scale",
        type=float,
        default=1.0,
        show_default=True,
        help="The network takes scale q + offset for an integer q.",
    ),
    click.option("--offset", type=float, default=0.0, show_default=True, help="See --scale."),
)

# --- proofs -------------------------------------------------------------------------------------------
prove = click.option("--prove", is_flag=True, help="Also prove it for all inputs, where the model is small.")
prove_seconds = click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=120.0,
    show_default=True,
    help="Limit for the proof of each backend.",
)
prove_options = stack(prove, prove_seconds)

# --- studies ------------------------------------------------------------------------------------------
study_runs = click.option(
    "--runs", type=int, metavar="N", help="Training runs a depth or a data set, splits, or searches."
)
study_depths = click.option(
    "--depths", metavar="N[,N...]", help="Circuit depths, ascending; 1 is the product state."
)
study_sets = click.option("--sets", type=int, metavar="N", help="Independent data sets.")
study_sizes = click.option("--sizes", metavar="N[,N...]", help="Training points of a data set, ascending.")
study_out = click.option(
    "--out", type=click.Path(), metavar="DIR", help="Folder to make or continue.  [default: studies/NAME]"
)
quick = click.option("--quick", is_flag=True, help="A small version that takes seconds.")
study_workers = click.option(
    "--workers", type=int, default=1, show_default=True, help="Processes that share the study's points."
)
study_scheduler = click.option(
    "--scheduler", metavar="ADDRESS", help="Dask cluster that computes the points: tcp://host:8786."
)
study_options = stack(
    study_runs,
    study_depths,
    study_sets,
    study_sizes,
    seed,
    quick,
    study_out,
    study_workers,
    study_scheduler,
)
