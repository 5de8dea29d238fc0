"""What all commands share: examples in help texts, how a result is shown, how a command ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console


def examples(*lines: str, title: str = "Examples") -> str:
    """Return lines for the end of a help text; the backspace tells click not to wrap them."""
    return "\n".join(("\b", f"{title}:", *(f"  {line}" for line in lines)))


def finish(outcome: tuple[dict[str, Any], int], given: dict[str, Any]) -> None:
    """Print the JSON document where it was asked for, and exit with the command's code."""
    document, code = outcome
    if given["as_json"]:
        click.echo(json.dumps(document, indent=2, allow_nan=False))
    if code:
        raise click.exceptions.Exit(code)


def console(given: dict[str, Any]) -> Console:
    """Return the console of a command's text; silent where JSON was asked for."""
    from rich.console import Console

    return Console(quiet=given["as_json"], highlight=False, soft_wrap=True)


def path(text: str | None) -> Path | None:
    """Return the path of an option that may be left out."""
    return Path(text) if text else None
