"""The ``qhn2edge`` command. Commands only call; what they do is in the rooms above.

Results go to standard output, progress and messages to standard error. Exit codes: 0 success, 1 a
cross-check found a mismatch, 2 the request is impossible (one line says why), 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import click

from qhn2edge import __version__, cli_boards, options, options_boards
from qhn2edge.cli_frame import console, examples, finish, path
from qhn2edge.errors import QhnError

STOPPED = 130
# Options that say how a run is carried out or shown, not what it computes.
_HOW = ("quiet", "as_json", "cache", "workers", "scheduler", "polish")


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=examples(
        "qhn2edge demo                                        # the whole way at once",
        "qhn2edge train --data digits:3,7 --size 4x4 --out runs/a",
        "qhn2edge export runs/a/*.model.json --out a-c        # C for any chip",
        "qhn2edge verify runs/a/*.model.json --artifacts a-c  # compile, compare",
        title="Start here",
    ),
)
@click.version_option(__version__, prog_name="qhn2edge")
def cli() -> None:
    """Train binary neural networks with a quantum hypernetwork; ship them, bit for bit, to chips."""


@cli.command(
    short_help="Train a binary neural network.",
    epilog=examples(
        "qhn2edge train --data digits:3,7 --size 4x4 --depth 4 --restarts 10",
        "qhn2edge train --data gaussian --hidden 3 --activation relu,sigmoid --width 2,3 --loss mse",
        "qhn2edge train --data sensors.csv --label state --hidden 2 --levels -1,1 --out runs/sensors",
        "qhn2edge train --config runs/digits-3-7-4x4/config.toml --out runs/again",
        "qhn2edge train --resume runs/digits-3-7-4x4",
    ),
)
@options.data_options
@options.space_options
@options.training_options
@options.run_out
@options.resume
@options.cache
@options.workers
@options.scheduler
@options.polish
@options.config
@click.option("--dry-run", is_flag=True, help="Describe the data, the bits and the circuit; train nothing.")
@options.quiet
@options.json_output
@click.pass_context
def train(context: click.Context, /, **given: Any) -> None:  # noqa: ANN401  (the stacked options)
    """Train a binary neural network."""
    from qhn2edge import commands

    resume, out = given.pop("resume"), given.pop("out")
    if resume:
        _refuse_with_resume(context, out)
        shown = {name: given[name] for name in _HOW}
        given = {**_options_of_run(context, resume), **shown}
    # The order of the command's options, so that equal options give equal configuration files.
    ordered = {p.name: given[p.name] for p in context.command.params if p.name in given}
    outcome = commands.train(ordered, out=path(out), resume=path(resume), console=console(given))
    finish(outcome, given)


@cli.command(
    short_help="Write a model as source code.",
    epilog=examples(
        "qhn2edge export runs/digits-3-7-4x4/digits-3-7-4x4.model.json --target c --out digits-c",
        "qhn2edge export my.model.json --core cortex-m4           # C with the fastest kernels",
        "qhn2edge export my.model.json --target verilog --style pipelined --clock-mhz 100",
    ),
)
@options.model_argument
@options.target
@click.option("--out", type=click.Path(), metavar="DIR", help="Folder to make.  [default: NAME-TARGET]")
@options_boards.c_options
@options_boards.verilog_options
@options.replace
@options.json_output
def export(model: str, target: str, out: str | None, **given: Any) -> None:  # noqa: ANN401
    """Write a model as source code or as another tool's model."""
    from qhn2edge import commands

    finish(commands.export(Path(model), target, path(out), given, console(given)), given)


@cli.command(
    short_help="Compare every integer of every backend.",
    epilog=examples(
        "qhn2edge verify runs/digits-3-7-4x4/digits-3-7-4x4.model.json --out certificate.json",
        "qhn2edge verify my.model.json --artifacts digits-c --data digits:3,7 --size 4x4",
        "qhn2edge verify my.model.json --board cortex-m0",
        "qhn2edge verify my.model.json --backend bitstream:icebreaker --vectors 500",
        "qhn2edge verify my.model.json --prove --backend verilog --seconds 60",
    ),
)
@options.model_argument
@click.option(
    "--backend", "backends", multiple=True, metavar="NAME", help="Check this backend only; repeatable."
)
@click.option(
    "--require",
    multiple=True,
    metavar="NAMES",
    help="Fail where one of these backends, such as c,onnx, cannot be checked; repeatable.",
)
@click.option(
    "--artifacts",
    type=click.Path(),
    metavar="DIR",
    help="Check this exported folder instead of a fresh export.",
)
@click.option("--board", metavar="NAME", help="Check C and this board (qhn2edge boards lists them).")
@click.option("--port", metavar="PORT", help="Port of the flashed board.  [default: build and emulate]")
@click.option(
    "--vectors", type=int, default=10_000, show_default=True, help="Random vectors where 2^n are too many."
)
@click.option(
    "--seed", "vector_seed", type=int, default=0, show_default=True, help="Seed of the random vectors."
)
@options.prove_options
@click.option("--out", type=click.Path(), metavar="FILE", help="Write the certificate to this JSON file.")
@options.replace
@options.data_options
@options.config
@options.quiet
@options.json_output
def verify(model: str, **given: Any) -> None:  # noqa: ANN401
    """Run a model through every backend on the same vectors and compare every integer.

    All 2^n inputs for up to 16 input bits, else corner cases, random vectors, and the test set of the data
    named (or of the run folder that the model lies in). Exit code 1 on a mismatch. The backend
    netlist:BOARD is what is built for an FPGA board, cell by cell; routed:ulx3s the cells as placed on an
    ECP5; bitstream:BOARD the flashed file of an iCE40 board, as logic again. With --prove
    also ranges, c, verilog and onnx (or those named; verilog-ice40 too) for all inputs: a proof, a
    counter-example that was run (exit code 1), or "not decided".
    """
    from qhn2edge import commands

    finish(commands.verify(Path(model), given, console(given)), given)


@cli.command(
    "import",
    short_help="Read a binarised network of another tool.",
    epilog=examples(
        "qhn2edge import mnist.h5 --out mnist.model.json",
        "qhn2edge import gestures.keras --input int8 --scale 0.0078125 --classes rest,tap,swipe",
    ),
)
@click.argument("source", type=click.Path())
@options.import_options
@click.option(
    "--out", type=click.Path(dir_okay=False), metavar="FILE", help="Model file.  [default: NAME.model.json]"
)
@options.replace
@options.json_output
def import_network(source: str, **given: Any) -> None:  # noqa: ANN401
    """Read a binarised Keras (Larq) or QONNX network as a model with the same class for every input.

    Batch normalisations, biases and functions up to the next sign become integer thresholds: where the
    tool's own float32 arithmetic changes sign, tried at every integer. What cannot be exact is refused with
    the layer's name and the reason.
    """
    from qhn2edge import commands

    finish(commands.import_network(Path(source), given, console(given)), given)


@cli.command(
    short_help="Label samples of a CSV or NPZ file.",
    epilog=examples("qhn2edge predict runs/iris/iris.model.json flowers.csv --out labels.csv"),
)
@options.model_argument
@click.argument("samples", type=click.Path(dir_okay=False))
@click.option("--logits", is_flag=True, help="Print the integer logits too.")
@click.option(
    "--out", type=click.Path(), metavar="FILE", help="Write CSV to this file instead of the terminal."
)
@click.option("--by-position", is_flag=True, help="Take columns by position, whatever the header says.")
@options.replace
@options.json_output
def predict(model: str, samples: str, **given: Any) -> None:  # noqa: ANN401
    """Label the samples of a CSV or NPZ file of raw features, with the interpreter.

    A CSV file has a header line with the model's feature names (see qhn2edge info), in any order and among
    others; values are raw, as in the training data.
    """
    from qhn2edge import commands

    finish(commands.predict(Path(model), Path(samples), given, console(given)), given)


@cli.command(
    short_help="Tell what a model is.",
    epilog=examples(
        "qhn2edge info examples/models/digits-3-7.model.json",
        "qhn2edge info runs/digits-3-7-4x4/digits-3-7-4x4.model.json --circuit",
    ),
)
@options.model_argument
@click.option("--circuit", "draw", is_flag=True, help="Draw the trained circuit of the model's run too.")
@options.json_output
def info(model: str, draw: bool, **given: Any) -> None:  # noqa: ANN401
    """Tell what a model is: layers, bits, qubits, exact accumulator ranges, bytes.

    With --circuit, the circuit that it was measured from (see qhn2edge circuit, which also exports it); the
    model lies in its run folder for that.
    """
    from qhn2edge import commands

    facts, code = commands.info(Path(model), console(given))
    if draw:
        facts["circuit"], _ = commands.circuit(Path(model).parent, None, console(given))
    finish((facts, code), given)


@cli.command(short_help="Tell which packages and tools are found.", epilog=examples("qhn2edge doctor"))
@options.json_output
def doctor(**given: Any) -> None:  # noqa: ANN401
    """Tell which optional packages and tools are found, what each is for, and how to get it."""
    from qhn2edge import commands

    finish(commands.doctor(console(given)), given)


@cli.command(
    short_help="Draw or export a trained circuit.",
    epilog=examples("qhn2edge circuit runs/digits-3-7-4x4 --qasm circuit.qasm", title="Example"),
)
@click.argument("run", type=click.Path(file_okay=False))
@click.option(
    "--qasm",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Write OpenQASM 3 with the trained angles.",
)
@options.replace
@options.json_output
def circuit(run: str, qasm: str | None, replace: bool, **given: Any) -> None:  # noqa: ANN401
    """Draw the trained circuit of a run, and write it as OpenQASM 3 for other tools and devices."""
    from qhn2edge import commands

    finish(commands.circuit(Path(run), path(qasm), console(given), replace=replace), given)


@cli.command(
    "random-model",
    short_help="Write a model with random weights.",
    epilog=examples("qhn2edge random-model --layers 64,32,10 --seed 0 --out bench-64-32-10.model.json"),
)
@click.option("--layers", required=True, metavar="N,N[,...]", help="Widths from input to output: 64,32,10.")
@click.option(
    "--encoder",
    type=click.Choice(["bit", "uint8", "int8"]),
    default="bit",
    show_default=True,
    help="Input kind.",
)
@click.option("--activation", metavar="NAME", default="sign", show_default=True, help="Hidden activation.")
@options.levels
@options.seed
@click.option(
    "--out", type=click.Path(dir_okay=False), required=True, metavar="FILE", help="Model file to write."
)
@options.replace
@options.json_output
def random_model(**given: Any) -> None:  # noqa: ANN401
    """Write a model with random weights, for benchmarks and tests of tool chains."""
    from qhn2edge import commands

    finish(commands.random_model(given, console(given)), given)


@cli.command(short_help="Go the whole way once, on digits.", epilog=examples("qhn2edge demo --out my-demo"))
@click.option("--out", type=click.Path(), default="demo-run", show_default=True, help="Folder to make.")
@options.seed
@options.replace
@options.cache
@options.quiet
@options.json_output
def demo(**given: Any) -> None:  # noqa: ANN401
    """Go the whole way once: digits, training, model, C, compiler, cross-check."""
    from qhn2edge import commands

    finish(commands.demo(given, console(given)), given)


@cli.command(
    short_help="Reproduce an experiment of the source.",
    epilog=examples(
        "qhn2edge study                                           list the experiments",
        "qhn2edge study gaussian-activation --quick               seconds",
        "qhn2edge study mnist4-logistic --runs 200 --depths 1,2,4,6 --out studies/logistic",
        "qhn2edge study generalization --workers 4",
        "qhn2edge study mnist8-mps --scheduler tcp://cluster:8786",
    ),
)
@click.argument("name", required=False)
@options.study_options
@options.cache
@options.quiet
@options.json_output
def study(name: str | None, **given: Any) -> None:  # noqa: ANN401
    """Reproduce an experiment: tables, figures, and a page of what its source claims and what was found.

    \b
    Of arXiv:2301.08292, the quantum hypernetwork:
      gaussian-activation  gaussian-width  mnist4-logistic  mnist4-encoding
      locality  generalization  mnist8-mps  noise
    Of methods to compare with, on the sizes that they allow:
      amplitude-amplification  qubo  elbo

    Without a name, the experiments are listed with the options that they take and the defaults. The same
    command continues a study that was stopped or killed; another --seed draws other data too. Needs
    pip install 'qhn2edge[studies]'.
    """  # noqa: D301  (click does not wrap what follows a backspace)
    from qhn2edge import commands

    finish(commands.study(name, given, console(given)), given)


for command in cli_boards.COMMANDS:
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit; expected errors become one line on standard error.

    A request to end (SIGTERM) is taken as Ctrl-C: work is saved and temporary folders are removed.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    try:
        code = cli.main(arguments, prog_name="qhn2edge", standalone_mode=False)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        where = context.command_path if context else "qhn2edge"
        text = error.format_message().rstrip(".")
        return _complain(f"{text}{'' if text.endswith('?') else '.'} See '{where} --help'.")
    except (click.exceptions.Abort, KeyboardInterrupt):
        return _complain("stopped.", STOPPED)
    except QhnError as error:
        return _complain(str(error))
    except MemoryError:
        return _complain("out of memory. Reduce the data set (--limit), the bits, or --memory.")
    except BrokenPipeError:
        # Somebody closed the pipe (head, less): no more output is wanted.
        sys.stdout = None
        return 0
    return code if isinstance(code, int) else 0


def _complain(message: str, code: int = 2) -> int:
    text = " ".join(message.split())
    click.echo(f"qhn2edge: error: {text}" if code == 2 else f"qhn2edge: {text}", err=True)
    return code


def _options_of_run(context: click.Context, run: str) -> dict[str, Any]:
    """Return the options that a run folder's configuration holds, read as click reads them."""
    from qhn2edge.runs import CONFIG, RunFolder

    source = str(Path(run) / CONFIG)
    defaults = options.config_defaults(context.command, RunFolder.open(Path(run)).config(), source)
    again = context.command.make_context("train", [], parent=context.parent, default_map=defaults)
    return {name: value for name, value in again.params.items() if name not in {"resume", "out"}}


def _refuse_with_resume(context: click.Context, out: str | None) -> None:
    """``--resume`` takes its settings from the run folder; anything else beside it is a mistake."""
    from qhn2edge.errors import ConfigError

    allowed = {"resume", *_HOW}
    source = click.core.ParameterSource.COMMANDLINE
    extra = [n for n in context.params if n not in allowed and context.get_parameter_source(n) is source]
    if extra or out:
        raise ConfigError(
            "--resume takes all settings from the run folder",
            got=", ".join("--" + name.replace("_", "-") for name in extra),
            next_step="leave the other options away, or start a new run with --out",
        )
