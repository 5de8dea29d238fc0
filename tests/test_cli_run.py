"""The commands ``run`` and ``verify --board`` as a user meets them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qhn2edge import interpreter
from qhn2edge.cli import run
from qhn2edge.model import load_model

DIGITS = Path(__file__).parent.parent / "examples" / "models" / "digits-3-7.model.json"
BENCH = DIGITS.with_name("bench-64-32-10.model.json")
BOARD = ["--board", "cortex-m0"]

Samples = NDArray[np.float64]


@pytest.fixture(autouse=True)
def somewhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, need: Callable[[str], ModuleType]
) -> Path:
    """Every test runs in an empty folder, and only where a Cortex-M0 can be emulated."""
    for name in ("unicorn", "elftools", "intelhex"):
        need(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def samples() -> Samples:
    """Raw features of the digits model."""
    return np.random.default_rng(0).random((30, 16)).round(3)


def expected_labels(raw: Samples) -> list[str]:
    """Return what the interpreter says of samples of the digits model."""
    model = load_model(DIGITS)
    logits = interpreter.logits(model, model.input.encoder.encode(raw))
    return [model.head.classes[i] for i in interpreter.class_indices(model, logits)]


def write_csv(raw: Samples, labels: list[str] | None, *, label: str = "label", named: bool = True) -> Path:
    """Write samples.csv; labels go into the first column."""
    names = load_model(DIGITS).input.feature_names if named else [f"column{i}" for i in range(raw.shape[1])]
    with Path("samples.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*([label] if labels else []), *names])
        for i, row in enumerate(raw.tolist()):
            writer.writerow([*([labels[i]] if labels else []), *row])
    return Path("samples.csv")


def call(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    code = run([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def call_json(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    code, out, err = call(capsys, *words, "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert isinstance(document, dict)
    return document


class TestRun:
    def test_labels_to_the_terminal(self, capsys: pytest.CaptureFixture[str], samples: Samples) -> None:
        """The labels are CSV on standard output and nothing else; speed and tools go to standard error."""
        code, out, err = call(capsys, "run", DIGITS, write_csv(samples, None), *BOARD)
        assert code == 0
        assert out.splitlines() == ["label", *expected_labels(samples)]
        for word in ("Cortex-M0, emulated in Unicorn", "throughput", "latency, host", "unicorn"):
            assert word in err
        assert "accuracy" not in err
        assert "latency, device" not in err  # Unicorn has no clock

    def test_labels_to_a_file(self, capsys: pytest.CaptureFixture[str], samples: Samples) -> None:
        """With --out the labels are in the file, and the summary, with the accuracy, on standard output."""
        truth = expected_labels(samples)
        truth[:3] = ["7" if name == "3" else "3" for name in truth[:3]]
        words: list[str | Path] = ["run", DIGITS, write_csv(samples, truth), *BOARD, "--out", "labels.csv"]
        code, out, err = call(capsys, *words)
        assert (code, err) == (0, "")
        assert Path("labels.csv").read_text().splitlines() == ["label", *expected_labels(samples)]
        assert "90.00%" in out
        code, _, err = call(capsys, *words)
        assert code == 2
        assert "labels.csv exists already" in err
        assert call(capsys, *words, "--replace")[0] == 0

    def test_json(self, capsys: pytest.CaptureFixture[str], samples: Samples) -> None:
        """--json prints one document with labels, accuracy, times, the line's statistics and the tools."""
        truth = expected_labels(samples)
        document = call_json(
            capsys, "run", DIGITS, write_csv(samples, truth, label="state"), *BOARD, "--label", "state"
        )
        assert document["labels"] == truth
        assert (document["accuracy"], document["n"], document["board"]) == (1.0, 30, "cortex-m0")
        assert document["model"] == load_model(DIGITS).digest
        assert 0 < document["host"]["latency_median_s"] <= document["host"]["latency_max_s"]
        assert document["host"]["per_second"] == pytest.approx(30 / document["host"]["seconds"])
        assert document["device"] is None
        assert document["link"]["answered"] == 31  # and one HELLO
        assert document["image_digest"].startswith("sha256:")
        assert "unicorn" in document["versions"]

    def test_without_names(self, capsys: pytest.CaptureFixture[str], samples: Samples) -> None:
        """With --by-position all columns but the label are features, whatever they are called."""
        truth = expected_labels(samples)
        path = write_csv(samples, truth, named=False)
        code, _, err = call(capsys, "run", DIGITS, path, *BOARD)
        assert code == 2
        assert "--by-position" in err
        assert call_json(capsys, "run", DIGITS, path, *BOARD, "--by-position")["accuracy"] == 1.0
        code, _, err = call(capsys, "run", BENCH, path, *BOARD)
        assert code == 2
        assert "got 16 beside the label, expected 64" in err

    def test_npz(self, capsys: pytest.CaptureFixture[str], samples: Samples) -> None:
        """An NPZ file gives x, and y or the array named by --label."""
        truth = np.array(expected_labels(samples))
        np.savez("samples.npz", x=samples, t=truth)
        words: list[str | Path] = ["run", DIGITS, "samples.npz", *BOARD]
        assert call_json(capsys, *words)["accuracy"] is None
        assert call_json(capsys, *words, "--label", "t")["accuracy"] == 1.0
        np.savez("samples.npz", x=samples, y=truth[:4])
        code, _, err = call(capsys, *words)
        assert code == 2
        assert "labels in samples.npz do not fit its samples" in err

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--board", "cortex-m1"], "unknown board: got cortex-m1"),
            ([*BOARD, "--port", "no-such-port"], "there is no port no-such-port. Plug in the board"),
            ([*BOARD, "--label", "state"], "no such label column"),
            ([], "Missing option '--board'"),
        ],
    )
    def test_refused(
        self,
        capsys: pytest.CaptureFixture[str],
        need: Callable[[str], ModuleType],
        samples: Samples,
        words: list[str],
        message: str,
    ) -> None:
        """What cannot be done is one line on standard error and exit code 2."""
        need("serial")
        code, out, err = call(capsys, "run", DIGITS, write_csv(samples, None), *words)
        assert (code, out) == (2, "")
        assert message in err
        assert err.count("\n") == 1


class TestVerify:
    def test_exact(self, capsys: pytest.CaptureFixture[str], host_compiler: object) -> None:
        """--board adds the board to the backends, in the table and in the certificate."""
        del host_compiler
        document = call_json(capsys, "verify", DIGITS, *BOARD, "--vectors", "50", "--out", "certificate.json")
        assert [(b["name"], b["status"]) for b in document["backends"]] == [
            ("c", "exact"),
            ("board:cortex-m0", "exact"),
        ]
        assert json.loads(Path("certificate.json").read_text()) == document
        code, out, _ = call(capsys, "verify", DIGITS, *BOARD, "--vectors", "50", "--backend", "c")
        assert code == 0
        assert "board:cortex-m0" in out

    def test_port_without_board(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A port alone does not say what is there."""
        code, _, err = call(capsys, "verify", DIGITS, "--port", "x")
        assert code == 2
        assert "--port without --board" in err

    def test_board_that_cannot_run(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A board that was asked for and cannot be emulated is an error, not a line in the table."""
        monkeypatch.setattr(
            "qhn2edge.emulators.registry.Emulator.missing", lambda _: "unicorn is missing: get it"
        )
        code, _, err = call(capsys, "verify", DIGITS, *BOARD)
        assert code == 2
        assert "board:cortex-m0 cannot be checked here" in err
        assert "get it" in err
