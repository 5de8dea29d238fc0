"""What is taken for a pipeline is one: every register taken away or moved is noticed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import absent
from proof_cases import mixed_model, proved

from qhn2edge.backends import export_model
from qhn2edge.backends.to_verilog import design_of, verilog_files
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.backends.verilog_parallel import ParallelDesign
from qhn2edge.verify.proving import yosys
from qhn2edge.verify.proving.diagrams import Diagrams
from qhn2edge.verify.proving.netlist import Gate, Netlist, read_netlist, with_enables
from qhn2edge.verify.proving.pipelines import check_pipeline
from qhn2edge.verify.proving.reference import NotCovered

pytest.importorskip("dd.cudd")
OPTIONS = VerilogOptions("pipelined")


@pytest.fixture(scope="module")
def netlist(tmp_path_factory: pytest.TempPathFactory) -> Netlist:
    """The gates of a pipelined design."""
    lack = yosys.missing()
    if lack is not None:
        absent(lack)
    folder: Path = export_model(
        mixed_model(), "verilog", tmp_path_factory.mktemp("pipeline") / "out", options=OPTIONS
    )
    sources = [folder / name for name in verilog_files(mixed_model(), OPTIONS).sources]
    path = folder / "netlist.json"
    yosys.write_netlist(sources, "mixed_binn", path, synthesized=False, timeout_s=60)
    return with_enables(read_netlist(path, "mixed_binn"))


def test_stages_are_the_latency(netlist: Netlist) -> None:
    """The registers on the way of the data are as many as the design's latency in clocks."""
    design = design_of(mixed_model(), OPTIONS)
    assert isinstance(design, ParallelDesign)
    assert check_pipeline(Diagrams(), netlist) == design.latency_cycles


@pytest.mark.usefixtures("netlist")  # yosys is there
@pytest.mark.parametrize(("name", "clock_mhz"), [("verilog", 200.0), ("verilog-ice40", 240.0)])
def test_a_pipeline_of_short_stages_is_proved(name: str, clock_mhz: float) -> None:
    """Cut chains and carries taken out through gates are the same integers, and a wrong bias is not."""
    model = mixed_model()
    layer = model.dense_layers[0]
    bias = layer.bias.copy()
    bias[0] += 1
    wrong = replace(model, layers=(replace(layer, bias=bias), *model.layers[1:]))
    found = proved(model, name, style="pipelined", clock_mhz=clock_mhz)
    assert found["verdict"] == "proved", found
    other = proved(model, name, style="pipelined", clock_mhz=clock_mhz, made_of=wrong)
    assert other["verdict"] == "counter-example", other


def test_a_register_less_is_noticed(netlist: Netlist) -> None:
    """Whichever register is replaced by a wire, the netlist is no pipeline any more."""
    for register in netlist.registers[::7]:
        wire = Gate("$_BUF_", (register.data,), register.output)
        left = tuple(r for r in netlist.registers if r is not register)
        broken = replace(netlist, registers=left, gates=(*netlist.gates, wire))
        with pytest.raises(NotCovered):
            check_pipeline(Diagrams(), broken)


def test_a_register_with_another_enable_is_noticed(netlist: Netlist) -> None:
    """A register that moves when the others stand still, or has no enable, is noticed."""
    (ready,) = netlist.ports["m_axis_tready"]
    for enable in (ready, "1", None):
        for register in netlist.registers[::7]:
            moved = tuple(replace(r, enable=enable) if r is register else r for r in netlist.registers)
            with pytest.raises(NotCovered):
                check_pipeline(Diagrams(), replace(netlist, registers=moved))


def test_a_second_clock_is_noticed(netlist: Netlist) -> None:
    """All registers must have the one clock."""
    (reset,) = netlist.ports["i_rst"]
    changed = (replace(netlist.registers[0], clock=reset), *netlist.registers[1:])
    with pytest.raises(NotCovered, match="a second clock"):
        check_pipeline(Diagrams(), replace(netlist, registers=changed))
