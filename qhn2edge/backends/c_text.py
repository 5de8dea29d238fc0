"""C99 source text from Python values: identifiers, string literals, integer tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qhn2edge.errors import ExportError
from qhn2edge.layers import INT32_MIN

MAX_LITERAL_BYTES = 4095
"""Longest string that C99 promises to support (5.2.4.1)."""

_LINE = 108
_STANDARD_HEADERS = (
    "assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg "
    "stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar wchar wctype"
)
_DEVICES = {"aux", "con", "nul", "prn", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
_RESERVED = {
    "main",
    "qhn",
    "qhn_binn",
    "qhn_images",
    "qhn_slices",
    "qhn_sums",
    *_STANDARD_HEADERS.split(),
    *_DEVICES,
}
_PLAIN = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 _.,:;+-*/=()[]{}<>!#$%&'@^`|~"
)


def c_name(model_name: str) -> str:
    """Return the prefix of a model's C identifiers and the stem of its file names.

    Identifiers are always this prefix, ``_`` and a suffix, so that no keyword can arise. As a file name
    it must not hide a standard header, a file of the runtime, or (on Windows) a device; such names get
    ``_model`` added.

    Args:
        model_name: a model's name (letters, digits, ``-`` and ``_``).
    """
    name = model_name.replace("-", "_")
    return f"{name}_model" if name.lower() in _RESERVED else name


def string_literal(text: str) -> str:
    r"""Return a C string literal with the UTF-8 bytes of any text.

    Bytes other than plain ASCII become three-digit octal escapes, which, unlike ``\x``, cannot swallow a
    digit that follows; ``?`` is one of them, so that no trigraph arises.

    Raises:
        ExportError: the text is longer than C99 allows.
    """
    content = text.encode("utf-8", errors="surrogatepass")
    if len(content) > MAX_LITERAL_BYTES:
        raise ExportError(
            "a name is too long for a C string",
            got=f"{len(content):,} bytes",
            expected=f"at most {MAX_LITERAL_BYTES:,}",
        )
    return '"' + "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03o}" for byte in content) + '"'


def integer(value: int) -> str:
    """Return an int32 as a C expression (the literal -2147483648 does not exist in C)."""
    return "INT32_MIN" if value == INT32_MIN else str(int(value))


def int32_rows(values: Iterable[int]) -> str:
    """Return the initialisers of an int32 array as indented, wrapped lines."""
    return rows([integer(int(value)) for value in values])


def word_rows(words: Iterable[int]) -> str:
    """Return the initialisers of a uint32 array as indented, wrapped lines of hexadecimal constants."""
    return rows([f"0x{int(word):08x}u" for word in words])


def rows(items: Sequence[str]) -> str:
    """Join items with commas into lines of limited length, indented by four blanks."""
    lines, current = [], "   "
    for item in items:
        if len(current) + len(item) + 2 > _LINE and current.strip():
            lines.append(current)
            current = "   "
        current += f" {item},"
    return "\n".join([*lines, current])
