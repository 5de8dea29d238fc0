# Everything here makes its own environment first, in .venv. `make` alone lists what there is.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# System tools for boards: compilers and emulators that pip does not bring, flashing programs, static analysis.
TOOLCHAINS := gcc-arm-none-eabi libnewlib-arm-none-eabi gcc-riscv64-unknown-elf gcc-avr avr-libc binutils-avr \
  fpga-icestorm simavr libsimavr-dev qemu-system-arm qemu-system-misc arduino-core-avr avrdude openocd dfu-util gcc clang cppcheck frama-c-base \
  libxml2-utils
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: help demo test check unit toolchains format bench models clean

help:
	@echo "make demo       train on handwritten digits, build firmware and a bitstream, check every integer (a minute)"
	@echo "make test       lint, type-check and test everything, as the continuous integration does"
	@echo "make toolchains install the system's cross compilers, emulators and analysers (Debian, Ubuntu; optional)"
	@echo "make check      lint and type-check only"
	@echo "make bench      measure against peers; tables go to benchmarks/results/"
	@echo "make models     make the reference models of examples/models/ again"
	@echo "make format     format the code"
	@echo "make clean      remove the environment and caches"

demo: $(VENV)/.installed
	$(BIN)/qhn2edge demo --out demo-run --replace

test: check unit

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

unit: $(VENV)/.installed-dev
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

toolchains:
	@command -v apt-get >/dev/null || { \
	  echo "make toolchains knows Debian and Ubuntu only; install what you need of: $(TOOLCHAINS)"; exit 2; }
	$(SUDO) apt-get update -qq
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Acquire::Retries=3 --no-install-recommends $(TOOLCHAINS) >/dev/null

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/enumeration.py
	$(BIN)/python benchmarks/gradient.py
	$(BIN)/python benchmarks/mps_sampling.py
	$(BIN)/python benchmarks/recipes.py

models: $(VENV)/.installed-dev
	for name in digits-3-7 gaussian; do \
	  rm -rf build/models/$$name && \
	  $(BIN)/qhn2edge train --config examples/models/$$name.toml --out build/models/$$name && \
	  cp build/models/$$name/$$name.model.json examples/models/ || exit 1; \
	done
	$(BIN)/qhn2edge random-model --layers 64,32,10 --seed 0 --replace --out examples/models/bench-64-32-10.model.json

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "qhn2edge needs Python 3.11 or newer; found $$($(PYTHON) --version 2>&1). Name another one: make PYTHON=python3.12"; \
	  exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml
	@echo "installing qhn2edge into $(VENV) (a minute or two)"
	$(PIP) --editable '.[mcu,fpga]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/bin/python pyproject.toml
	@echo "installing qhn2edge and its test tools into $(VENV) (a few minutes)"
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find qhn2edge tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
