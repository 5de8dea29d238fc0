"""What differs between the vendors' tools that hls4ml writes for: folders, commands, ports in C++."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from qhn2edge.backends.hls4ml_options import Hls4mlOptions

PRAGMA_PLACES = (
    "in_value",
    "in_function",
    "before_beats",
    "in_beats",
    "before_values",
    "in_values",
    "before_windows",
    "in_windows",
    "of_patch",
    "of_inside",
    "of_out",
    "of_kept",
    "of_channels",
    "of_weights",
)
"""Where our headers have room for a pragma: functions, loops over beats, values and windows, arrays."""

_XILINX_PRAGMAS = {
    "in_value": "#pragma HLS INLINE",
    "in_function": "#pragma HLS PIPELINE",
    "in_beats": "#pragma HLS PIPELINE",
    "in_values": "#pragma HLS UNROLL",
    "in_windows": "#pragma HLS PIPELINE II=CONFIG_T::reuse_factor",
    "of_patch": "#pragma HLS ARRAY_PARTITION variable=patch complete",
    "of_inside": "#pragma HLS ARRAY_PARTITION variable=inside complete",
    "of_out": "#pragma HLS ARRAY_PARTITION variable=out complete",
    "of_kept": "#pragma HLS ARRAY_PARTITION variable=kept complete dim=1",
    "of_channels": "#pragma HLS ARRAY_PARTITION variable=kept complete dim=3",
    "of_weights": "#pragma HLS ARRAY_PARTITION variable=weights complete",
}
_QUARTUS_PRAGMAS = {
    "before_beats": "#pragma ii 1",
    "before_values": "#pragma unroll",
    "before_windows": "#pragma ii CONFIG_T::reuse_factor",
}


@dataclass(frozen=True)
class Target:
    """One of hls4ml's backends.

    Attributes:
        name: hls4ml's word for it.
        tool: the vendor's tool, with the versions that hls4ml 1.3 names.
        firmware: folder of the network's sources.
        includes: folders that a compiler needs.
        flags: further flags to compile it on a host.
        channel: the C++ class of a stream.
        pragmas: those of the extension's header, by place; places that are not named have none.
        commands: what to type in the project's folder.
        settings_file: where part and clock stand.
        bench: the test bench, with NAME for the project's name.
        results: where the bench writes its results.
        has_extension: relus, tables, convolutions and poolings can be written for it.
        halves_n: its XNOR layers are one too high for an odd number of inputs.
        dropped: files and folders of hls4ml's templates that are of no use in the project.
    """

    name: str
    tool: str
    firmware: str = "firmware"
    includes: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    channel: str = "hls::stream"
    pragmas: Mapping[str, str] = field(default_factory=lambda: _XILINX_PRAGMAS)
    commands: str = ""
    settings_file: str = "project.tcl"
    bench: str = "NAME_test.cpp"
    results: str = "tb_data/csim_results.log"
    has_extension: bool = True
    halves_n: bool = False
    dropped: tuple[str, ...] = field(default=())

    @property
    def compiles_on_host(self) -> bool:
        """Whether a C++ compiler alone is enough to run the project."""
        return bool(self.includes)


_VITIS_COMMANDS = """```
vitis-run --mode hls --tcl build_prj.tcl
```

`build_opt.tcl` says which steps are taken: C simulation, synthesis, co-simulation and its comparison with the
C simulation; set `export 1` for an IP core and `vsynth 1` for a run of Vivado on the result."""

_VIVADO_COMMANDS = """```
vivado_hls -f build_prj.tcl "reset=True csim=True synth=True cosim=True validation=True export=False"
```

With `export=True` it makes an IP core, with `vsynth=True` it runs Vivado on the result."""

_QUARTUS_COMMANDS = """```
make NAME-fpga      # i++ of the Intel HLS compiler: synthesis and a program that simulates the result
./NAME-fpga
```"""

_ONEAPI_COMMANDS = """```
cmake -B build && cmake --build build --target fpga_emu      # a program that emulates the design
./build/NAME.fpga_emu
cmake --build build --target report                          # estimates of area and speed
cmake --build build --target fpga                            # the bitstream; takes hours
```"""

_CATAPULT_COMMANDS = """```
catapult -product ultra -shell -f build_prj.tcl -eval 'set ::argv "csim=1 synth=1 cosim=1 validation=1"'
```

With `export=1` it makes an IP core, with `vsynth=1` it runs the synthesis of the result."""

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(
            "Vitis",
            "Vitis HLS 2022.2 to 2024.1 (`vitis-run`; before 2023.2 `vitis_hls -f build_prj.tcl`)",
            includes=("firmware/ap_types",),
            commands=_VITIS_COMMANDS,
            dropped=("build_lib.sh", "NAME_bridge.cpp"),
        ),
        Target(
            "Vivado",
            "Vivado HLS 2018.2 to 2020.1",
            includes=("firmware/ap_types",),
            commands=_VIVADO_COMMANDS,
            dropped=("build_lib.sh", "NAME_bridge.cpp"),
        ),
        Target(
            "Quartus",
            "Intel HLS compiler (`i++`) 20.1 to 21.4",
            includes=("firmware/ac_types", "firmware/ap_types"),
            flags=("-fpermissive",),
            channel="stream",
            pragmas=_QUARTUS_PRAGMAS,
            commands=_QUARTUS_COMMANDS,
            settings_file="Makefile",
            results="tb_data/results.log",
            halves_n=True,
            dropped=("build_lib.sh", "NAME_bridge.cpp"),
        ),
        Target(
            "oneAPI",
            "Intel oneAPI (`icpx`) 2024.1 to 2025.0",
            firmware="src/firmware",
            commands=_ONEAPI_COMMANDS,
            settings_file="CMakeLists.txt",
            bench="src/NAME_test.cpp",
            results="tb_data/results.log",
            has_extension=False,
        ),
        Target(
            "Catapult",
            "Siemens Catapult HLS 2024.1 or later",
            includes=(
                "firmware/ac_types/include",
                "firmware/ac_math/include",
                "firmware/ac_simutils/include",
                "firmware/nnet_utils",
            ),
            # With this macro the weights are those of the headers; without, the bench loads text files.
            flags=("-D__SYNTHESIS__", "-Wno-pragmas"),
            channel="ac_channel",
            pragmas={},  # hls4ml's own kernels for Catapult have none either: its script directs the tool
            commands=_CATAPULT_COMMANDS,
            settings_file="build_prj.tcl",
            dropped=(
                "build_lib.sh",
                "NAME_bridge.cpp",
                "firmware/ac_math/lutgen",
                "firmware/ac_math/pdfdocs",
                "firmware/ac_math/tests",
                "firmware/ac_types/gdb",
                "firmware/ac_types/pdfdocs",
            ),
        ),
    )
}


def call_text(options: Hls4mlOptions, name: str) -> str:
    """Return the C++ that feeds ``values`` to the top function and leaves its results in ``logits``.

    A stream gets as many beats as there are: one of all features, or one a pixel.
    """
    target = TARGETS[options.backend]
    if options.io == "stream":
        opened = '("x")' if target.channel == "hls::stream" else ""
        closed = '("y")' if target.channel == "hls::stream" else ""
        lines: tuple[str, ...] = (
            f"static {target.channel}<input_t> x{opened};",
            f"static {target.channel}<result_t> y{closed};",
            "for (unsigned at = 0; at < n_features; at += input_t::size) {",
            "    input_t beat;",
            "    for (unsigned i = 0; i < input_t::size; i++)",
            "        beat[i] = values[at + i];",
            "    x.write(beat);",
            "}",
            f"{name}(x, y);",
            "result_t logits = y.read();",
        )
    elif options.backend == "Quartus":
        lines = (
            "input_data x;",
            *_copied("x.features[i]"),
            f"output_data y = {name}(x);",
            "const result_t *logits = (const result_t *)&y;",
        )
    else:
        lines = (
            "static input_t x[n_features];",
            "static result_t logits[n_logits];",
            *_copied("x[i]"),
            f"{name}(x, logits);",
        )
    return "\n".join(f"        {line}" for line in lines)


def _copied(place: str) -> tuple[str, ...]:
    return ("for (unsigned i = 0; i < n_features; i++)", f"    {place} = values[i];")


def compile_words(target: Target, name: str) -> tuple[str, ...]:
    """Return the words after the compiler's name that build the check program in a project's folder."""
    includes = [f"-I{folder}" for folder in target.includes]
    return ("-std=c++17", "-O2", "-w", *target.flags, *includes, "check.cpp", f"{target.firmware}/{name}.cpp")
