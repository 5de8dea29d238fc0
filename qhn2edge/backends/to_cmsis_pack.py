"""CMSIS-Pack: a ``.pack`` archive, its ``.pdsc`` description, and a template that checks itself."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape

from qhn2edge.backends.c_options import PORTABLE, COptions
from qhn2edge.backends.packages import (
    ARM_CORES,
    Files,
    c_sources,
    check_program,
    common_files,
    package_values,
    split_headers,
    template,
    vectors_header,
    write_files,
)
from qhn2edge.model import Model

VENDOR = "qhn2edge"
MAX_SUB = 32
"""Longest ``Csub`` of a component."""

_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_PLAIN_FILE = 0o100644 << 16
_UNIX = 3


def emit(model: Model, folder: Path, options: COptions = PORTABLE) -> tuple[str, ...]:
    """Write a CMSIS-Pack and its description; equal models give equal bytes.

    Args:
        model: the model.
        folder: an existing folder.
        options: how C is to be generated; without a core, a variant for each core is written and the compiler
            chooses.

    Returns:
        The names of the files.

    Raises:
        ExportError: the model does not fit C.
    """
    values = package_values(model)
    stem = f"{VENDOR}.{model.name}"
    values |= {
        "vendor": VENDOR,
        "pack": model.name,
        "pack_file": f"{stem}.{values['version']}.pack",
        "sub": model.name[:MAX_SUB],
        "xml_summary": escape(str(values["summary"])),
        "xml_description": escape(str(values["description"])),
    }
    inside = _contents(model, options, values)
    common = common_files(model, values, "cmsis-pack")
    pdsc = {f"{stem}.pdsc": template("cmsis-pack", "package.pdsc.in", {**values, "files": _listed(inside)})}
    pack = zip_archive({**pdsc, **common, **inside})
    return write_files(folder, {str(values["pack_file"]): pack, **pdsc, **common})


def _contents(model: Model, options: COptions, values: Mapping[str, object]) -> Files:
    name = values["name"]
    entry = f"int {name}_check(void)"
    program = check_program(
        values, include="stdio.h", print_function="printf", entry=entry, prototype=f"{entry};"
    )
    return {
        **split_headers(c_sources(model, options, ARM_CORES)),
        f"templates/{name}_check.c": program,
        f"templates/{name}_vectors.h": vectors_header(values),
    }


def _listed(files: Files) -> str:
    """Return the ``file`` elements of the component."""
    return "\n".join(f"        {_file_element(path)}" for path in files)


def _file_element(path: str) -> str:
    category = "source" if path.endswith(".c") else "header"
    if path.startswith("templates/"):
        return (
            f'<file category="{category}" attr="template" select="Check with known vectors" name="{path}"/>'
        )
    return f'<file category="{category}" name="{path}"/>'


def zip_archive(files: Mapping[str, str]) -> bytes:
    """Return a ZIP archive that depends on nothing but its contents: sorted, undated and not compressed.

    Args:
        files: texts by path.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, _ZIP_TIME)
            entry.create_system, entry.external_attr = _UNIX, _PLAIN_FILE
            archive.writestr(entry, files[path].encode("utf-8"))
    return stream.getvalue()
