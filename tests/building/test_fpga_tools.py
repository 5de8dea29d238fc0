"""Which yosys, nextpnr and packer are taken: the system's, pip's, or the kind that was asked for."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gateware_builds import BOARD, TINY
from strategies import random_inputs

from qhn2edge import cli, interpreter
from qhn2edge.building import fpga_tools
from qhn2edge.building.fpga_tools import NEXTPNR, PACKERS, VARIABLE, YOSYS, passed_over, yosys
from qhn2edge.errors import ToolError
from qhn2edge.verify.runners import find_runner

posix_only = pytest.mark.skipif(os.name == "nt", reason="uses shell scripts")
Install = Callable[..., Path]


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """An empty PATH folder, into which a call puts a program that says its version."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()

    def install(name: str, said: str = "", script: str = "") -> Path:
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/sh\n{script or f'echo {said!r}'}\n")
        path.chmod(0o755)
        return path

    return install


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The packages that seem to be installed: all of them, until a test takes some away."""
    packages = {tool.package for tool in (YOSYS, *NEXTPNR.values(), *PACKERS.values())}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name in packages else None)
    return packages


@posix_only
class TestOrder:
    def test_the_system_comes_first(self, system: Install, pip: set[str]) -> None:
        """With both there, the system's is taken; with pip's alone, pip's."""
        assert pip
        assert YOSYS.find().kind == "pip"
        path = system("yosys", "Yosys 0.23 (git sha1 7ce5011c24b)")
        found = YOSYS.find()
        assert (found.kind, found.command) == ("system", (str(path),))
        assert found.version == "yosys 0.23 (system)"
        assert passed_over("ice40") == ()

    @pytest.mark.parametrize("family", ["ice40", "ecp5", "gowin"])
    def test_a_packer_is_of_the_kind_of_its_placer(self, system: Install, pip: set[str], family: str) -> None:
        """The system's packer is taken beside the system's placer, and pip's beside pip's."""
        placer, packer = NEXTPNR[family], PACKERS[family]
        system(packer.name)
        assert (placer.find().kind, packer.find().kind) == ("pip", "pip")
        system(placer.name, f'"{placer.name}" -- Next Generation Place and Route (Version 0.4-1+b1)')
        assert placer.version() == f"{placer.name} 0.4-1+b1 (system)"
        assert packer.version() == f"{packer.name} (system)"
        shutil.rmtree(os.environ["PATH"])
        pip.discard(packer.package)
        with pytest.raises(ToolError, match=f"{packer.name} was not found"):
            packer.find()

    @pytest.mark.parametrize(
        ("said", "taken"),
        [
            ("Yosys 0.9 (git sha1 1979e0b)", False),
            ("Yosys 0.9+4081 (git sha1 862e84eb)", False),
            ("Yosys 0.22 (git sha1 f109fa3d4)", False),
            ("Yosys 0.23 (git sha1 7ce5011c24b)", True),
            ("Yosys 0.33+34 (git sha1 34a08750f)", True),
            ("Yosys 1.0 (git sha1 0)", True),
        ],
    )
    def test_oldest(self, system: Install, pip: set[str], said: str, taken: bool) -> None:
        """Versions below the oldest one are passed over, as numbers and not as text, and one line says so."""
        assert pip
        path = system("yosys", said)
        assert (YOSYS.find().kind == "system") is taken
        number = said.split()[1]
        line = f"{path} is yosys {number}, older than 0.23: {YOSYS.version()} is taken instead"
        assert passed_over("ice40") == (() if taken else (line,))

    def test_a_version_without_a_number_is_taken(self, system: Install, pip: set[str]) -> None:
        """A nextpnr that was built from a commit says the commit only; it is not taken for an old one."""
        assert pip
        system("nextpnr-ecp5", '"nextpnr-ecp5" -- Next Generation Place and Route (Version 1bb09b4f)')
        assert NEXTPNR["ecp5"].version() == "nextpnr-ecp5 1bb09b4f (system)"

    def test_one_that_does_not_answer_is_passed_over(self, system: Install, pip: set[str]) -> None:
        """A yosys that cannot start does not hide pip's."""
        assert pip
        path = system("yosys", script="exit 127")
        assert YOSYS.find().kind == "pip"
        assert passed_over("gowin") == (f"{path} does not answer: {YOSYS.version()} is taken instead",)

    def test_too_old_and_none_other(self, system: Install, pip: set[str]) -> None:
        """Where pip has none either, the error has both versions and how to get one."""
        pip.clear()
        path = system("yosys", "Yosys 0.9 (git sha1 1979e0b)")
        with pytest.raises(ToolError) as caught:
            YOSYS.find()
        assert str(caught.value).startswith(f"{path} is yosys 0.9, older than 0.23. Get it with: pip install")
        assert str(caught.value) == fpga_tools.missing("ice40")


@posix_only
class TestVariable:
    def test_asks_for_one_kind(self, system: Install, pip: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """The variable's kind is taken, and the other one never, even where that is the only one."""
        system("yosys", "Yosys 0.23 (git sha1 7ce5011c24b)")
        monkeypatch.setenv(VARIABLE, "pip")
        assert YOSYS.find().kind == "pip"
        assert passed_over("ice40") == ()
        pip.clear()
        with pytest.raises(ToolError, match=rf"yosys was not found: got {VARIABLE}=pip"):
            YOSYS.find()
        monkeypatch.setenv(VARIABLE, "system")
        assert YOSYS.find().kind == "system"
        with pytest.raises(ToolError, match=rf"nextpnr-ecp5 was not found: got {VARIABLE}=system"):
            NEXTPNR["ecp5"].find()

    def test_other_words(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A word that is no kind is an error and not passed over."""
        monkeypatch.setenv(VARIABLE, "apt")
        with pytest.raises(ToolError, match=f"the variable {VARIABLE} cannot be read: got apt"):
            YOSYS.find()
        assert f"{VARIABLE} cannot be read" in (fpga_tools.missing("ice40") or "")


@posix_only
class TestSystemYosys:
    def test_commands(self, system: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The commands reach it as one argument; of a failure its line with ERROR is told."""
        version = 'test "$1" = --version && echo Yosys 0.30 && exit'
        fails = 'test -z "$FAIL" || { echo ERROR: no; exit 1; }'
        system("yosys", script=f'{version}\nprintf "%s|" "$@" > seen\n{fails}')
        yosys(["read_verilog a.v", "synth_ice40 -top b"], tmp_path)
        assert (tmp_path / "seen").read_text() == "-q|-p|read_verilog a.v; synth_ice40 -top b|"
        monkeypatch.setenv("FAIL", "1")
        with pytest.raises(ToolError, match="yosys failed: got ERROR: no"):
            yosys(["x"], tmp_path)

    def test_models_of_cells(self, system: Install, tmp_path: Path) -> None:
        """Its models are found beside it, also behind a symbolic link; missing ones are told."""
        real = system("yosys", "Yosys 0.30").rename(tmp_path / "yosys-0.30")
        (tmp_path / "opt" / "bin").mkdir(parents=True)
        (tmp_path / "bin" / "yosys").symlink_to(real.rename(tmp_path / "opt" / "bin" / "yosys"))
        with pytest.raises(ToolError, match="lacks its models of the cells of ice40"):
            fpga_tools.cell_models("ice40")
        models = tmp_path / "opt" / "share" / "yosys" / "ice40" / "cells_sim.v"
        models.parent.mkdir(parents=True)
        models.write_text("module SB_LUT4; endmodule\n")
        assert fpga_tools.cell_models("ice40").samefile(models)


@posix_only
def test_doctor_tells_what_is_taken(
    system: Install, pip: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The doctor names the tools of every family, and which of the system's is too old."""
    assert pip
    path = system("yosys", "Yosys 0.9 (git sha1 1979e0b)")
    assert cli.run(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("bitstreams of ecp5 are made with yosys") for line in lines)
    assert any(line.strip().startswith(f"{path} is yosys 0.9, older than 0.23: ") for line in lines)


def test_tools_of_the_system_make_exact_gateware(
    verilator_tools: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's tools make an exact bitstream; where one is missing, that is what is told."""
    del verilator_tools
    monkeypatch.setenv(VARIABLE, "system")
    runner = find_runner(f"bitstream:{BOARD}")
    lack = runner.missing()
    if lack is not None:  # they are no part of what has to be here
        assert "was not found: got QHN2EDGE_FPGA_TOOLS=system" in lack
        return
    x = random_inputs(TINY, 100, 0)
    result = runner.run(TINY, x, None)
    np.testing.assert_array_equal(result.logits, interpreter.logits(TINY, x))
    assert all("(system)" in result.versions[name] for name in ("yosys", "nextpnr-ice40"))
    assert sys.executable not in fpga_tools.YOSYS.command()
