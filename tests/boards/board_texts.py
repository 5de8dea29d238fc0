"""A board's file as text, for tests that damage it."""

from __future__ import annotations

BOARD = """
name = "my-board"
title = "My board"
chip = "X1"
core = "cortex-m4"
clock_hz = 48_000_000

[memory]
flash_origin = 0x0800_0000
flash_bytes = 65_536
ram_origin = 0x2000_0000
ram_bytes = 8_192

[build]
start = ["cortex_m.c", "memory.c"]
linker = "cortex_m.ld.in"
uart = "virtual.c"
formats = ["elf", "hex", "bin", "uf2"]
uf2_family = 0x1234

[build.defines]
QHN_FAST = true
QHN_PIN = 7

[flash]
tool = "openocd"
interface = "stlink"
scripts = ["a", "b"]

[emulators.unicorn]

[emulators.qemu]
machine = "mps2-an386"

[serial]
baud = 9_600
settle_s = 0.5
"""

FPGA = """
name = "my-fpga"
title = "My FPGA"
chip = "X2"
clock_hz = 12_000_000

[fpga]
family = "ice40"
device = "up5k"
package = "sg48"
luts = 5_280
memory_bytes = 15_360
pins = "mine.pcf"
clock = "quarter"
led = "low"
high = ["flash_cs", "other"]
low = "usb_pu"

[flash]
tool = "openFPGALoader"
board = "ice40_generic"
"""
