"""Boards in the cross-check: exact ones are certified, wrong ones found, absent ones named."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from conftest import BuildOnce
from strategies import ENCODERS, random_dense

from qhn2edge.backends.to_c import emit
from qhn2edge.boards.catalog import find_board
from qhn2edge.building import sources
from qhn2edge.emulators.queued_line import QueuedLine
from qhn2edge.emulators.registry import find_emulator
from qhn2edge.errors import BoardError, ConfigError, LinkError
from qhn2edge.layers import Identity, Sign
from qhn2edge.model import Head, Input, Model
from qhn2edge.storage import sha256
from qhn2edge.verify import run_board, verify_model
from qhn2edge.verify.certificate import EXACT, MISMATCH, BackendResult
from qhn2edge.verify.run_board import emulator_of, open_board, telling
from qhn2edge.verify.runners import board_runner, find_runner

BOARD = "cortex-m0"


@functools.cache
def model(seed: int = 0) -> Model:
    """Return a model of 10 bits, all inputs of which are checked."""
    rng = np.random.default_rng(seed)
    layers = (random_dense(rng, 10, 6, (-1, 1), Sign()), random_dense(rng, 6, 3, (-1, 1), Identity()))
    return Model("tiny", Input(10, ENCODERS["bit"]), layers, Head("argmax", ("a", "b", "c")))


@pytest.fixture(autouse=True)
def emulated(need: Callable[[str], ModuleType]) -> None:
    """What every emulated Cortex-M0 needs."""
    for name in ("unicorn", "elftools", "intelhex"):
        need(name)


def only(results: tuple[BackendResult, ...]) -> BackendResult:
    (result,) = results
    return result


class TestEmulated:
    def test_exact(self, build_once: BuildOnce) -> None:
        """All inputs of a small model agree; the certificate names compiler, emulator, image, and repeats."""
        firmware = build_once(model(), BOARD)
        reports = [verify_model(model(), backends=[f"board:{BOARD}"]) for _ in range(2)]
        result = only(reports[0].certificate.backends)
        assert (result.name, result.status, result.n_vectors) == (f"board:{BOARD}", EXACT, 1024)
        assert result.files_digest == sha256(firmware.bin.read_bytes())
        assert result.versions is not None
        assert result.versions[firmware.compiler.name] == firmware.compiler.version
        assert result.versions["unicorn"].startswith("unicorn ")
        assert reports[0].certificate.to_json() == reports[1].certificate.to_json()

    def test_beside_other_backends(self, host_compiler: object) -> None:
        """A board given as a further runner is checked after the backends, and once even if named twice."""
        del host_compiler
        report = verify_model(model(), backends=["c", f"board:{BOARD}"], further=[board_runner(BOARD)])
        assert [backend.name for backend in report.certificate.backends] == ["c", f"board:{BOARD}"]
        assert report.exact

    def test_firmware_built_before(self, build_once: BuildOnce) -> None:
        """A folder of a build is run as it is; one of another model is refused."""
        firmware = build_once(model(), BOARD)
        report = verify_model(model(), artifacts={f"board:{BOARD}": firmware.folder})
        assert only(report.certificate.backends).status == EXACT
        with pytest.raises(LinkError, match="holds another model"):
            find_runner(f"board:{BOARD}").run(model(1), np.ones((1, 10), dtype=np.int64), firmware.folder)

    def test_wrong_arithmetic(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Firmware that says that it holds the model and computes another one is found out."""
        monkeypatch.setattr(sources, "emit", lambda _, folder, options: emit(model(1), folder, options))
        report = verify_model(model(), backends=[f"board:{BOARD}"])
        result = only(report.certificate.backends)
        assert result.status == MISMATCH
        assert result.n_mismatches > 0
        assert not report.exact
        assert report.mismatches[0].first_wrong_layer is None  # a board does not tell of its layers

    def test_progress(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A slow board tells now and then how far it is."""
        monkeypatch.setattr(run_board, "_SAY_EVERY_S", 0.0)
        lines: list[str] = []
        progress = telling("board:x", lines.append)
        progress(1, 2000)
        progress(2000, 2000)
        assert lines == ["board:x: 1 of 2,000 vectors", "board:x: 2,000 of 2,000 vectors"]
        monkeypatch.setattr(run_board, "_SAY_EVERY_S", 1000.0)
        progress(1, 2)
        assert len(lines) == 2

    def test_ends_on_failure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The line is closed also when its user fails."""
        closed: list[bool] = []
        monkeypatch.setattr(QueuedLine, "close", lambda _: closed.append(True))
        with pytest.raises(ZeroDivisionError), open_board(model(), find_board(BOARD), None):
            raise ZeroDivisionError
        assert closed


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")
class TestPort:
    """A board behind a port: here an emulated one behind a pseudo-terminal."""

    @pytest.fixture
    def port(self, build_once: BuildOnce, need: Callable[[str], ModuleType]) -> Iterator[str]:
        """The port of a board with the model."""
        need("serial")
        board = find_board(BOARD)
        far, near = os.openpty()
        os.set_blocking(far, False)
        stop = threading.Event()
        with find_emulator(board).open_line(build_once(model(), BOARD)) as line:

            def carry() -> None:
                while not stop.wait(0.0005):
                    try:
                        line.write(os.read(far, 4096))
                    except BlockingIOError:
                        continue
                    os.write(far, line.read(0.0))

            thread = threading.Thread(target=carry)
            thread.start()
            yield os.ttyname(near)
            stop.set()
            thread.join()
        os.close(near)
        os.close(far)

    def test_exact(self, port: str) -> None:
        """The same vectors are exact through a port; the image is not at hand, so it has no digest."""
        report = verify_model(model(), backends=[], further=[board_runner(BOARD, port)])
        result = only(report.certificate.backends)
        assert (result.status, result.n_vectors, result.files_digest) == (EXACT, 1024, None)
        assert result.versions is not None
        assert sorted(result.versions) == ["board", "pyserial"]

    def test_wrong_firmware(self, port: str) -> None:
        """A board that was flashed with another model is refused, with both digests."""
        with pytest.raises(LinkError, match="holds another model") as error:
            verify_model(model(1), backends=[], further=[board_runner(BOARD, port)])
        for one in (model(), model(1)):
            assert one.digest[: len("sha256:") + 32] in str(error.value)


class TestAbsent:
    def test_no_port_and_no_emulator(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A board that exists as hardware only needs its port; the error lists the ports there are."""
        monkeypatch.setattr("qhn2edge.link.ports.port_names", lambda: ("/dev/ttyACM7",))
        board = replace(find_board(BOARD), emulators={})
        with pytest.raises(LinkError, match=r"not emulated.*--port; the ports here are /dev/ttyACM7"):
            emulator_of(board)
        lack = run_board.missing(board, None)
        assert lack is not None
        assert "/dev/ttyACM7" in lack

    def test_nothing_missing(self) -> None:
        """A board that can run here lacks nothing."""
        assert run_board.missing(find_board(BOARD), None) is None

    def test_emulator_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A board whose emulator is not installed is listed as missing, with the way to get it."""
        monkeypatch.setattr(
            "qhn2edge.emulators.registry.Emulator.missing", lambda _: "unicorn is missing: get it"
        )
        report = verify_model(model(), backends=[f"board:{BOARD}"])
        result = only(report.certificate.backends)
        assert result.status == "missing"
        assert result.missing is not None
        assert "get it" in result.missing

    def test_unknown_names(self) -> None:
        """An unknown board and an unknown backend are refused by name."""
        with pytest.raises(BoardError, match=r"unknown board: got cortex-m1.*Did you mean"):
            find_runner("board:cortex-m1")
        with pytest.raises(ConfigError, match="unknown backend to verify: got cortex-m0"):
            find_runner(BOARD)
