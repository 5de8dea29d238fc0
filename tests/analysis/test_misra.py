"""The C follows MISRA C:2012 as far as cppcheck tells, but for listed deviations, each with its reason."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from analysis_models import MODELS, NAMED_KERNELS, ONE_EACH, Written, write_every_kernel, write_model
from conftest import absent

from qhn2edge.backends.c_adapter import emit_adapter
from qhn2edge.backends.c_options import COptions
from qhn2edge.resources import resource
from qhn2edge.toolchain import run_tool

SUPPRESSIONS = resource("firmware", "misra", "deviations.txt")
OPTIONS = (
    "-q", "--std=c99", "--platform=unix32", "--max-configs=1", "--suppress=toomanyconfigs",
    "--enable=warning,performance,portability", "--template={file}\t{line}\t{id}\t{message}",
)  # fmt: skip
BOARD = (
    "-DQHN_CLOCK_HZ=16000000UL", "-DQHN_BAUD=115200UL",
    "-DQHN_UART=0x40004000u", "-DQHN_PIN_TX=24u", "-DQHN_PIN_RX=25u",
)  # fmt: skip
"""What some board defines; cppcheck then looks at one configuration of each file."""


@dataclass(frozen=True, order=True)
class Finding:
    """A place that breaks a rule."""

    file: str
    line: int
    rule: str


@dataclass(frozen=True)
class Deviation:
    """A line of deviations.txt: a rule, the files where it is not followed, and why."""

    rule: str
    files: str
    reason: str

    def covers(self, finding: Finding) -> bool:
        """Whether this is the reason of a finding."""
        return finding.rule == self.rule and fnmatch.fnmatch(finding.file, self.files)


def deviations() -> list[Deviation]:
    """Return the lines of deviations.txt; the comment above a block of lines is their reason."""
    found, reason, in_comment = [], "", False
    for line in SUPPRESSIONS.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            text = line.removeprefix("#").strip()
            reason = f"{reason} {text}" if in_comment else text
        elif line:
            rule, _, files = line.partition(":")
            found.append(Deviation(rule, files or "*", reason))
        in_comment = line.startswith("#")
    return found


def addon(folder: Path) -> Path:
    """Write the add-on's settings: a text of its own for each rule.

    Two rules that are broken in one line have the same text otherwise, and cppcheck drops the second.
    """
    texts, settings = folder / "rules.txt", folder / "misra.json"
    rules = [
        f"Rule {chapter}.{n} Required\nBreaks {chapter}.{n}\n"
        for chapter in range(1, 23)
        for n in range(1, 22)
    ]
    texts.write_text("".join(["Appendix A Summary of guidelines\n", *rules]))
    settings.write_text(json.dumps({"script": "misra.py", "args": [f"--rule-texts={texts}"]}))
    return settings


def check(files: Sequence[Path], includes: Iterable[Path], options: Iterable[str]) -> set[Finding]:
    """Return what cppcheck finds."""
    if shutil.which("cppcheck") is None:
        absent("cppcheck")
    flags = [*OPTIONS, *options, *(f"-I{path}" for path in includes)]
    with tempfile.TemporaryDirectory(prefix="qhn2edge-test-") as folder:
        command = ["cppcheck", f"--addon={addon(Path(folder))}", *flags, *map(str, files)]
        result = run_tool(command, timeout_s=300)
    rows = [line.split("\t") for line in result.stderr.splitlines()]
    return {Finding(file, int(line), rule) for file, line, rule, _ in rows if rule != "missingIncludeSystem"}


INCLUDES = tuple(resource("firmware", room) for room in ("protocol", "board"))
PROGRAM = ("protocol/qhn_server.c", "app/main.c", "start/cortex_m.c", "start/memory.c", "uart/virtual.c")
"""What makes a whole program of a model and its adapter."""


DEFINED_TWICE = {"misra-c2012-8.5", "misra-c2012-8.6"}
"""What cppcheck must find where it sees files together of which a program has one."""


def firmware(*names: str) -> list[Path]:
    """Return files of the firmware."""
    return [resource("firmware", *name.split("/")) for name in names]


def alternatives() -> list[Path]:
    """Return the start-up files and drivers that take the places of those of PROGRAM."""
    every = [
        f"{room}/{path.name}" for room in ("start", "uart") for path in resource("firmware", room).glob("*.c")
    ]
    return firmware(*sorted(set(every) - set(PROGRAM)))


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Written]]:
    """A model for each kernel, with the runtime, and an adapter."""
    folder = tmp_path_factory.mktemp("generated")
    every = write_every_kernel(folder, [MODELS[name] for name in ONE_EACH], None)
    written = list({one.prefix.rsplit("_", 1)[1]: one for one in every}.values())
    assert len(written) == len(NAMED_KERNELS)
    emit_adapter(written[0].model, folder)
    return folder, written


@pytest.fixture(scope="module")
def findings(generated: tuple[Path, list[Written]], tmp_path_factory: pytest.TempPathFactory) -> set[Finding]:
    """What cppcheck finds in generated code, runtime, protocol, start-up, drivers, and code for AVR."""
    folder, written = generated
    names = [*(one.prefix for one in written), "qhn_binn", "qhn_adapter"]
    found = check(
        [*(folder / f"{name}.c" for name in names), *firmware(*PROGRAM)], [folder, *INCLUDES], BOARD
    )
    found |= {f for f in check(alternatives(), INCLUDES, BOARD) if f.rule not in DEFINED_TWICE}
    avr = tmp_path_factory.mktemp("avr")
    one = write_model(avr, MODELS["bit_sign"], COptions("avr", "sliced"))
    assert one is not None
    return found | check([avr / f"{one.prefix}.c", avr / "qhn_binn.c"], [avr], ["-D__AVR__"])


class TestDeviations:
    def test_every_finding_has_a_reason(self, findings: set[Finding]) -> None:
        """Nothing is found outside of the listed deviations."""
        listed = deviations()
        assert sorted(f for f in findings if not any(d.covers(f) for d in listed)) == []

    def test_every_deviation_is_needed(self, findings: set[Finding]) -> None:
        """Each listed deviation occurs; one that no longer does is to be taken out of the list."""
        assert [d for d in deviations() if not any(d.covers(f) for f in findings)] == []

    def test_every_deviation_has_a_reason(self) -> None:
        """The comment above has the rule's number, its category, and more; no line stands twice."""
        listed = deviations()
        for one in listed:
            number = one.rule.removeprefix("misra-c2012-")
            assert re.match(rf"{re.escape(number)} \((advisory|required)\): .{{20}}", one.reason), one
        assert len({(one.rule, one.files) for one in listed}) == len(listed)

    def test_no_mandatory_rule(self) -> None:
        """No deviation is from a rule that MISRA calls mandatory."""
        mandatory = {
            "9.1",
            "12.5",
            "13.6",
            "17.3",
            "17.4",
            "17.6",
            "19.1",
            "21.13",
            "21.17",
            "21.18",
            "21.19",
            "21.20",
        }
        mandatory |= {"22.2", "22.4", "22.5", "22.6"}
        assert {one.rule.removeprefix("misra-c2012-") for one in deviations()}.isdisjoint(mandatory)


class TestList:
    def test_cppcheck_takes_it(self, generated: tuple[Path, list[Written]]) -> None:
        """With the list, cppcheck says nothing: it can be used as it is."""
        folder, written = generated
        files = [folder / f"{written[0].prefix}.c", *firmware("start/memory.c", "start/cortex_m.c")]
        assert check(files, [folder, *INCLUDES], [*BOARD, f"--suppressions-list={SUPPRESSIONS}"]) == set()

    def test_a_violation_is_found(self, tmp_path: Path) -> None:
        """A rule that is on no list is reported, and so is a second one in the same line."""
        path = tmp_path / "bad.c"
        path.write_text("int f(int x);\nint f(int x)\n{\n    goto end;\nend:\n    return x;\n}\n")
        assert {finding.rule for finding in check([path], [], ())} == {"misra-c2012-15.1"}
        path.write_text(
            "int f(int *x);\nint f(int *x)\n{\n    int y = 0;\n    y = *x++ + y;\n    return y;\n}\n"
        )
        assert {finding.rule for finding in check([path], [], ())} == {"misra-c2012-13.3", "misra-c2012-17.8"}
