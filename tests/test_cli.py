"""The command line as a user meets it: words in, text, files and exit codes out."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qhn2edge import interpreter
from qhn2edge.cli import cli, run
from qhn2edge.data import load_data
from qhn2edge.model import load_model
from qhn2edge.toolchain import CompilerFound

MODELS = Path(__file__).parent.parent / "examples" / "models"
DIGITS, GAUSSIAN, BENCH = (
    MODELS / f"{name}.model.json" for name in ("digits-3-7", "gaussian", "bench-64-32-10")
)
QUICK = ["--restarts", "2", "--depth", "2", "--max-iterations", "20", "--shots", "50"]


@pytest.fixture(autouse=True)
def somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in an empty folder with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def call(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    """Run the command line in this process; return exit code, standard output, standard error."""
    code = run([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def call_json(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    """Run a command with --json; it must succeed, print one document, and nothing else."""
    code, out, err = call(capsys, *words, "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert isinstance(document, dict)
    return document


class TestHelp:
    @pytest.mark.parametrize("command", ["", *cli.commands])
    def test_help_has_an_example(self, capsys: pytest.CaptureFixture[str], command: str) -> None:
        """Every command has help, with an example that starts with the program's name."""
        code, out, _ = call(capsys, *([command] if command else []), "--help")
        assert code == 0
        assert "\n    qhn2edge " in out

    def test_quick(self) -> None:
        """``--help`` answers in well under a second in a fresh process (allowing for a busy machine)."""
        times = []
        for _ in range(3):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-m", "qhn2edge", "--help"], check=True, capture_output=True)
            times.append(time.perf_counter() - start)
        assert min(times) < 1.0


class TestTrain:
    def test_run_folder(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """A run leaves configuration, checkpoint, figures, energies and a model that can be loaded."""
        code, out, err = call(capsys, "train", "--data", "iris", "--out", "run", *QUICK)
        assert code == 0, err
        names = {path.name for path in (tmp_path / "run").iterdir()}
        files = {"config.toml", "checkpoint.npz", "result.json", "energy.csv", "circuit.json"}
        assert names == {*files, "iris.model.json"}
        assert "15 bits = W1 12 + b1 3" in out
        assert "qhn2edge verify run/iris.model.json" in out
        model = load_model("run/iris.model.json")
        figures = json.loads(Path("run/result.json").read_text())
        assert model.provenance["bitstring"] == figures["measured"]["bitstring"]
        with Path("run/energy.csv").open() as stream:
            rows = list(csv.DictReader(stream))
        assert len(rows) == figures["energy_evaluations"]

    def test_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        """``--json`` prints the figures and the files, and nothing else."""
        document = call_json(capsys, "train", "--data", "gaussian:40", "--hidden", "2", *QUICK)
        assert document["bits"] == 9
        assert all(Path(file).is_file() for file in document["files"])
        assert 0 <= document["accuracy"]["model_test"] <= 1

    def test_config_repeats_the_run(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The configuration that a run writes repeats it: the same model, bit for bit."""
        words = ["--data", "gaussian:40", "--width", "1,2", "--activation", "relu,sigmoid", "--loss", "mse"]
        first = call_json(
            capsys, "train", *words, "--levels", "-1,1", "--levels", "0,1", *QUICK, "--out", "a"
        )
        again = call_json(capsys, "train", "--config", "a/config.toml", "--out", "b")
        assert load_model(first["files"][0]) == load_model(again["files"][0])
        assert Path("a/config.toml").read_text() == Path("b/config.toml").read_text()

    def test_command_line_beats_config(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Options on the command line win over those of the configuration file."""
        Path("c.toml").write_text('data = "gaussian:40"\nhidden = 2\nrestarts = 3\nlevels = ["0,1"]\n')
        document = call_json(capsys, "train", "--config", "c.toml", *QUICK[2:], "--restarts", "1")
        assert len(document["restarts"]) == 1
        assert load_model(document["files"][0]).dense_layers[0].levels == (0, 1)

    def test_own_csv(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """A user's table trains, and its run repeats from another folder."""
        rng = np.random.default_rng(0)
        rows = [f"{a},{b},{'up' if a + b > 0 else 'down'}" for a, b in rng.normal(size=(40, 2)).tolist()]
        Path("t.csv").write_text("\n".join(["p,q,way", *rows]) + "\n")
        call_json(capsys, "train", "--data", "t.csv", "--label", "way", *QUICK, "--out", "run")
        config = tomllib.loads(Path("run/config.toml").read_text())
        assert config["data"] == str(tmp_path / "t.csv")
        Path("elsewhere").mkdir()
        os.chdir("elsewhere")
        call_json(capsys, "train", "--config", "../run/config.toml", "--out", "run")

    def test_dry_run(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """A dry run draws the bits and writes nothing."""
        code, out, _ = call(
            capsys,
            "train",
            "--data",
            "gaussian",
            "--width",
            "2,3",
            "--activation",
            "relu,sigmoid",
            "--dry-run",
        )
        assert code == 0
        assert "│" in out
        assert "15 bits = W1 6 + W2 3 + b2 1 + b1 3 + width 1 + activation 1" in out
        assert not (tmp_path / "runs").exists()

    def test_runs_are_numbered(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Without --out, a second run gets a folder of its own."""
        for _ in range(2):
            call_json(capsys, "train", "--data", "gaussian:40", "--hidden", "1", *QUICK)
        assert {path.name for path in Path("runs").iterdir()} == {"gaussian-40", "gaussian-40-2"}

    @pytest.mark.parametrize("request_to_end", [signal.SIGINT, signal.SIGTERM])
    def test_interrupt_and_resume(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, request_to_end: signal.Signals
    ) -> None:
        """A run killed by Ctrl-C says how to go on, and resuming gives the model of a run left alone."""
        words = ["train", "--data", "digits:3,7", "--size", "4x4", "--restarts", "256", "--out"]
        command = [sys.executable, "-m", "qhn2edge", *words, "stopped"]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            deadline = time.monotonic() + 120
            assert process.stderr
            # The first finished restart is announced on standard error; the run then has seconds to go, even
            # where this test waits for a processor.
            while "restart" not in process.stderr.readline():
                assert time.monotonic() < deadline
            os.killpg(process.pid, request_to_end)
            out, err = process.communicate(timeout=120)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == 130
        assert "Traceback" not in err
        assert "qhn2edge train --resume stopped" in out
        assert not (tmp_path / "stopped" / "result.json").exists()
        resumed = call_json(capsys, "train", "--resume", "stopped")
        whole = call_json(capsys, *words, "whole")
        assert load_model(resumed["files"][0]) == load_model(whole["files"][0])
        assert Path("stopped/result.json").read_bytes() == Path("whole/result.json").read_bytes()
        assert Path("stopped/energy.csv").read_bytes() == Path("whole/energy.csv").read_bytes()


class TestModelCommands:
    def test_info(self, capsys: pytest.CaptureFixture[str]) -> None:
        """``info`` tells layers, bits, qubits, ranges and bytes of a model."""
        code, out, _ = call(capsys, "info", DIGITS)
        assert code == 0
        ranges = load_model(DIGITS).ranges[0]
        low, high = int(ranges.low[0]), int(ranges.high[0])
        for text in (
            "16 -> 1",
            "17 bits = W1 16 + b1 1 (17 qubits)",
            f"{low:,} .. {high:,}",
            "4 bytes packed",
        ):
            assert text in out
        facts = call_json(capsys, "info", DIGITS)
        assert facts["layers"][0]["accumulator"] == [low, high]
        assert (facts["qubits"], facts["weight_bytes"]) == (17, 4)

    def test_export(self, capsys: pytest.CaptureFixture[str]) -> None:
        """``export`` lists the files that it wrote, and refuses to write over them unasked."""
        document = call_json(capsys, "export", GAUSSIAN, "--target", "c")
        assert document["folder"] == "gaussian-c"
        assert all(Path(file).stat().st_size for file in document["files"])
        code, _, err = call(capsys, "export", GAUSSIAN, "--target", "c")
        assert code == 2
        assert "gaussian-c exists already" in err
        assert call(capsys, "export", GAUSSIAN, "--replace")[0] == 0

    def test_predict(self, capsys: pytest.CaptureFixture[str]) -> None:
        """``predict`` gives the interpreter's labels; columns are found by name in any order."""
        data = load_data("gaussian:40", seed=5)
        rows = [f"{b!r},{a!r},9" for a, b in data.x_test[:20].tolist()]
        Path("s.csv").write_text("\n".join(["x1,x0,extra", *rows]) + "\n")
        expected = interpreter.predict(load_model(GAUSSIAN), data.x_test[:20])
        document = call_json(capsys, "predict", GAUSSIAN, "s.csv", "--logits")
        assert document["labels"] == expected
        assert len(document["logits"]) == 20
        code, out, _ = call(capsys, "predict", GAUSSIAN, "s.csv", "--out", "labels.csv")
        assert (code, out) == (0, "wrote 20 labels to labels.csv\n")
        assert Path("labels.csv").read_text().splitlines() == ["label", *expected]
        np.savez("s.npz", x=data.x_test[:20])
        assert call_json(capsys, "predict", GAUSSIAN, "s.npz")["labels"] == expected

    def test_random_model(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A random model depends on its seed only; the reference model is what its command makes."""
        call_json(capsys, "random-model", "--layers", "64,32,10", "--seed", "0", "--out", "m.json")
        assert load_model("m.json") == load_model(BENCH)
        call_json(capsys, "random-model", "--layers", "64,32,10", "--seed", "1", "--out", "n.json")
        assert load_model("n.json") != load_model(BENCH)

    def test_doctor(self, capsys: pytest.CaptureFixture[str]) -> None:
        """``doctor`` names every tool, and how to get those that are missing."""
        code, out, _ = call(capsys, "doctor")
        assert code == 0
        assert "pennylane" in out
        document = call_json(capsys, "doctor")
        assert all(tool["how_to_get"] and tool["for"] for tool in document["tools"])


@pytest.mark.usefixtures("host_compiler")
class TestVerify:
    def test_exact(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The reference models are exact, one of them in every backend; the certificate says on what."""
        for model, chosen in ((DIGITS, []), (GAUSSIAN, ["--backend", "c"]), (BENCH, ["--backend", "c"])):
            words = ["--vectors", "500", "--out", "certificate.json", "--replace"]
            document = call_json(capsys, "verify", model, *words, *chosen)
            assert document["exact"]
            assert document["model"]["digest"] == load_model(model).digest
            assert json.loads(Path("certificate.json").read_text()) == document
        code, out, _ = call(capsys, "verify", GAUSSIAN, "--backend", "c")
        assert code == 0
        assert "all possible inputs" in out

    def test_required(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """What ``--require`` names is checked too; where it cannot be, that is an error and not a gap."""
        words = ["verify", str(GAUSSIAN), "--backend", "onnx", "--require", "c"]
        assert [b["name"] for b in call_json(capsys, *words)["backends"]] == ["onnx", "c"]
        monkeypatch.setenv("CC", "no-such-compiler")
        code, _, err = call(capsys, *words)
        assert code == 2
        assert "c is required and cannot be checked" in err

    def test_run_folder_brings_its_test_set(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A model inside its run folder is checked on that run's test set too."""
        call_json(capsys, "train", "--data", "iris", "--out", "run", *QUICK)
        document = call_json(capsys, "verify", "run/iris.model.json", "--vectors", "100", "--backend", "c")
        assert document["vectors"]["parts"]["data"] == 45

    def test_mismatch(self, capsys: pytest.CaptureFixture[str]) -> None:
        """One wrong bias in exported files: exit code 1, both results, and the layer that differs."""
        call_json(capsys, "export", GAUSSIAN, "--out", "c")
        source = Path("c/gaussian.c")
        before, after = source.read_text().split("LAYER_1_BIAS[3] = {\n    ", 1)
        source.write_text(f"{before}LAYER_1_BIAS[3] = {{\n    1 + {after}")
        code, out, _ = call(capsys, "verify", GAUSSIAN, "--artifacts", "c")
        assert code == 1
        assert "mismatch" in out
        assert "expected" in out
        assert "layer 1" in out


@pytest.mark.usefixtures("host_compiler")
class TestDemo:
    def test_whole_way(self, capsys: pytest.CaptureFixture[str], host_compiler: CompilerFound) -> None:
        """The demo trains, exports, compiles, checks all, and says what it wrote."""
        assert host_compiler.version
        code, out, err = call(capsys, "demo", "--out", "d")
        assert code == 0, err
        assert "mismatches" in out
        for name in ("digits-3-7-4x4.model.json", "c", "certificate.json", "config.toml", "energy.csv"):
            assert (Path("d") / name).exists()
        document = call_json(capsys, "demo", "--out", "d", "--replace")
        assert document["verify"]["exact"]
        assert document["accuracy"]["model_test"] > 0.9

    def test_replaces_only_runs(self, capsys: pytest.CaptureFixture[str]) -> None:
        """``--replace`` never removes a folder that is not an earlier demo."""
        Path("precious").mkdir()
        Path("precious/thesis.tex").write_text("everything")
        code, _, err = call(capsys, "demo", "--out", "precious", "--replace")
        assert (code, Path("precious/thesis.tex").read_text()) == (2, "everything")
        assert "not a run folder" in err


def bad_inputs() -> list[tuple[str, list[str], str]]:
    """Return (what is wrong, command line, part of the message)."""
    train = ["train", "--data"]
    return [
        ("no data", ["train"], "no data set was named"),
        ("not an option", ["run", "--secondz"], "? See 'qhn2edge run --help'."),
        ("no option", ["flash"], "Missing option '--board'. See 'qhn2edge flash --help'."),
        ("unknown data", [*train, "digitz:3,7"], "unknown data set: got 'digitz:3,7'"),
        ("missing file", [*train, "no.csv"], "no.csv does not exist"),
        ("empty file", [*train, "empty.csv"], "is empty"),
        ("NaN", [*train, "nan.csv"], "line 3, column b"),
        ("infinite", [*train, "inf.csv"], "line 2, column a"),
        ("one class", [*train, "one.csv"], "one class only"),
        ("too many bits", [*train, "digits:3,7"], "65 bits = W1 64 + b1 1"),
        ("what to reduce", [*train, "digits:3,7"], "a smaller --size"),
        ("impossible size", [*train, "digits:3,7", "--size", "9x9"], "9x9"),
        ("not a size", [*train, "digits:3,7", "--size", "big"], "big"),
        ("not a width", [*train, "gaussian", "--hidden", "x"], "--hidden is not a list of integers: got x"),
        ("zero width", [*train, "gaussian", "--hidden", "0"], "impossible width: got 0"),
        ("not levels", [*train, "gaussian", "--levels", "1"], "--levels is not a pair"),
        ("equal levels", [*train, "gaussian", "--levels", "1,1"], "weight levels are impossible"),
        ("unknown activation", [*train, "gaussian", "--hidden", "2", "--activation", "rely"], "mean relu"),
        ("idle choice", [*train, "gaussian", "--activation", "relu,sign"], "needs a hidden layer"),
        ("wrong loss", [*train, "iris", "--loss", "bce"], "bce does not fit the head"),
        ("unknown engine", [*train, "gaussian", "--engine", "warp"], "unknown engine: got warp"),
        ("unknown optimiser", [*train, "gaussian", "--optimizer", "sgd"], "unknown optimiser: got sgd"),
        ("foreign option", [*train, "gaussian", "--learning-rate", "1"], "learning_rate"),
        ("no restarts", [*train, "gaussian", "--restarts", "0"], "restarts is impossible"),
        ("not a number", [*train, "gaussian", "--depth", "deep"], "'deep' is not a valid integer"),
        ("run exists", [*train, "gaussian", "--out", "there"], "the run folder there exists already"),
        ("unwritable", [*train, "gaussian", "--out", "file.txt/run"], "file.txt"),
        ("resume nothing", ["train", "--resume", "there"], "there is not a run folder"),
        ("resume and more", ["train", "--resume", "there", "--depth", "3"], "--resume takes all settings"),
        ("unknown in config", ["train", "--config", "bad.toml"], "did you mean depth?"),
        ("broken config", ["train", "--config", "broken.toml"], "is not TOML"),
        ("missing config", ["train", "--config", "no.toml"], "no.toml does not exist"),
        ("unknown command", ["tran"], "did you mean"),
        ("unknown option", ["train", "--dept", "3"], "--dept"),
        ("missing model", ["info", "no.json"], "no.json does not exist"),
        ("truncated model", ["info", "cut.json"], "not complete JSON"),
        ("edited model", ["verify", "edited.json"], "does not match its digest"),
        ("unknown version", ["export", "future.json"], "unknown version: got 99"),
        ("unknown target", ["export", str(DIGITS), "--target", "rust"], "rust"),
        ("unknown backend", ["verify", str(DIGITS), "--backend", "d"], "unknown"),
        ("foreign data", ["verify", str(DIGITS), "--data", "gaussian"], "does not fit the model"),
        ("foreign columns", ["predict", str(DIGITS), "one.csv"], "do not fit the model"),
        ("foreign artifacts", ["verify", str(DIGITS), "--artifacts", "there"], "there"),
        ("bad layers", ["random-model", "--layers", "4", "--out", "m"], "--layers is too short"),
        ("unwritable model", ["random-model", "--layers", "4,1", "--out", "file.txt/m"], "cannot write"),
    ]


@pytest.fixture
def bad_files(tmp_path: Path) -> None:
    """Files that are wrong in one way each."""
    text = DIGITS.read_text()
    files = {
        "empty.csv": "",
        "nan.csv": "a,b,label\n1,2,x\n3,nan,y\n",
        "inf.csv": "a,b,label\ninf,2,x\n3,4,y\n",
        "one.csv": "a,b,label\n1,2,x\n3,4,x\n5,6,x\n7,8,x\n",
        "bad.toml": 'data = "gaussian"\ndepht = 3\n',
        "broken.toml": "data = \n",
        "cut.json": text[: len(text) // 2],
        "edited.json": text.replace('"digits-3-7"', '"digits-3-8"', 1),
        "future.json": text.replace('"version": 1', '"version": 99', 1),
        "file.txt": "a file\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "precious.txt").write_text("keep me\n")


@pytest.mark.usefixtures("bad_files")
@pytest.mark.parametrize(("what", "words", "message"), bad_inputs(), ids=[case[0] for case in bad_inputs()])
def test_bad_input(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, what: str, words: list[str], message: str
) -> None:
    """Bad input: exit code 2, one line that names the problem, no traceback, and nothing lost or left."""
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    code, _, err = call(capsys, *words)
    assert code == 2, what
    assert err.startswith("qhn2edge: error: ")
    assert err.count("\n") == 1
    assert message.lower() in err.lower()
    after = {
        path: path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file() and "cache" not in path.relative_to(tmp_path).parts
    }
    assert after == before


def test_no_compiler(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a C compiler, ``verify`` says how to get one, and does not claim success."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("qhn2edge.toolchain.zig_compiler", lambda: None)
    code, out, err = call(capsys, "verify", GAUSSIAN, "--backend", "c")
    assert code != 0
    assert "qhn2edge[mcu]" in " ".join((out + err).split())


def test_broken_pipe() -> None:
    """A reader that closes the pipe early gets no traceback."""
    head = shutil.which("head")
    assert head
    with subprocess.Popen(
        [sys.executable, "-m", "qhn2edge", "info", str(BENCH)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


class TestHowARunIsCarriedOut:
    def test_workers_and_polish_are_no_part_of_the_run(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Two processes and polishing leave configuration and model; polishing never raises the cost."""
        words = ["train", "--data", "gaussian:40", "--hidden", "2", *QUICK]
        plain = call_json(capsys, *words, "--out", "a")
        shared = call_json(capsys, *words, "--out", "b", "--workers", "2", "--polish")
        assert Path("a/config.toml").read_text() == Path("b/config.toml").read_text()
        assert load_model(plain["files"][0]) == load_model(shared["files"][0])
        assert shared["polished"]["cost"] <= shared["measured"]["cost"]
        assert load_model(shared["polished"]["file"]).provenance["cost"] == shared["polished"]["cost"]

    def test_measured_training(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A wide circuit trains from measurements; without enumeration there is no optimum to report."""
        words = [
            "--optimizer",
            "reinforce",
            "--shots",
            "50",
            "--validation-shots",
            "80",
            "--max-iterations",
            "5",
        ]
        document = call_json(
            capsys, "train", "--data", "digits:3,7", "--depth", "2", "--restarts", "1", *words,
            "--objective", "gibbs:20", "--optimizer-option", "beta1=0.8",
        )  # fmt: skip
        assert document["optimum"] is None
        assert document["shots"] == 5 * 50 + 80
        config = tomllib.loads(Path("runs/digits-3-7/config.toml").read_text())
        assert config["optimizer_option"] == ["beta1=0.8"]
        call_json(capsys, "train", "--resume", "runs/digits-3-7")

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--objective", "median"], "unknown objective: got median"),
            (["--optimizer-option", "x"], "--optimizer-option is no assignment: got x, expected NAME=VALUE"),
            (["--workers", "0"], "workers is impossible: got 0"),
            (["--validation-shots", "0"], "validation_shots is impossible: got 0"),
        ],
    )
    def test_refused(self, capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
        """Impossible requests are refused in one line, and no run folder is made."""
        code, _, err = call(capsys, "train", "--data", "gaussian", *words)
        assert code == 2
        assert message in err
        assert not Path("runs").exists()


class TestCircuit:
    def test_drawn_and_exported(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The trained circuit of a run is drawn, and written as OpenQASM 3 with its angles."""
        call_json(capsys, "train", "--data", "gaussian:40", "--hidden", "1", *QUICK, "--out", "run")
        code, out, _ = call(capsys, "circuit", "run", "--qasm", "c.qasm")
        assert code == 0
        assert "q5 |0>" in out
        document = call_json(capsys, "circuit", "run")
        program = Path("c.qasm").read_text()
        assert program.startswith("OPENQASM 3.0;")
        assert all(f"({angle!r})" in program for angle in document["angles"])

    def test_no_circuit(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A classical search has no circuit, and a damaged one is refused, in one line each."""
        words = ["--data", "gaussian:40", "--hidden", "1", "--optimizer", "greedy", "--restarts", "1"]
        call_json(capsys, "train", *words, "--optimizer-option", "max_evaluations=20", "--out", "run")
        code, _, err = call(capsys, "circuit", "run")
        assert (code, err.count("\n")) == (2, 1)
        assert "has no trained circuit" in err
        Path("run/circuit.json").write_text('{"ansatz": "brickwork"}')
        code, _, err = call(capsys, "circuit", "run")
        assert (code, err.count("\n")) == (2, 1)
        assert "is damaged" in err


@pytest.mark.usefixtures("host_compiler")
class TestNothingIsOverwritten:
    @pytest.mark.parametrize(
        "words",
        [
            ["verify", "m.json", "--vectors", "10", "--out", "m.json"],
            ["predict", "m.json", "s.csv", "--out", "s.csv"],
            ["random-model", "--layers", "4,1", "--out", "m.json"],
            ["circuit", "run", "--qasm", "s.csv"],
        ],
    )
    def test_refused(self, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
        """No command writes over a file that exists, its own input least of all, unless told to."""
        shutil.copy(GAUSSIAN, "m.json")
        Path("s.csv").write_text("x0,x1\n1,1\n")
        call_json(capsys, "train", "--data", "gaussian:40", "--hidden", "1", *QUICK, "--out", "run")
        before = {name: Path(name).read_bytes() for name in ("m.json", "s.csv")}
        code, _, err = call(capsys, *words)
        assert (code, err.count("\n")) == (2, 1)
        assert "exists already" in err
        assert {name: Path(name).read_bytes() for name in before} == before
        if words[0] != "predict":
            assert call(capsys, *words, "--replace")[0] == 0

    def test_clipping_is_told(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Raw values that the encoder cannot represent are counted on standard error."""
        Path("s.csv").write_text("x0,x1\n100,1\n1,-5\n1,1\n")
        code, _, err = call(capsys, "predict", GAUSSIAN, "s.csv")
        assert code == 0
        assert "warning: 2 of 6 values are outside what the encoder represents (-4 to 3.96875" in err

    def test_columns_of_other_names(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Columns of other names are refused, or taken by position when told to."""
        Path("s.csv").write_text("X1,X0\n1,1\n")
        assert call(capsys, "predict", GAUSSIAN, "s.csv")[0] == 2
        assert call(capsys, "predict", GAUSSIAN, "s.csv", "--by-position")[0] == 0
