"""A study's outcome as text: CSV for programs, Markdown for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from qhn2edge.studies.intervals import Interval
from qhn2edge.studies.study import Cell, Column, Finding, Outcome, Study


def table_csv(outcome: Outcome) -> str:
    """Return the table as CSV; numbers carry all their digits, intervals take three columns."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([name for column in outcome.columns for name in _csv_names(column)])
    for row in outcome.rows:
        writer.writerow([text for cell in row for text in _csv_cells(cell)])
    return stream.getvalue()


def table_markdown(outcome: Outcome) -> str:
    """Return the table as Markdown, rounded as its columns say."""
    rows = [
        [_shown(cell, column) for cell, column in zip(row, outcome.columns, strict=True)]
        for row in outcome.rows
    ]
    return markdown_table([column.head for column in outcome.columns], rows)


def page_markdown(study: Study, outcome: Outcome, command: str) -> str:
    """Return the page: what was run, what the source claims and what was found, figures, table, method.

    Args:
        study: the study.
        outcome: what it concludes.
        command: the command that makes the page again.
    """
    parts = [
        f"# {study.title}",
        f"    {command}",
        f"Source: {study.source}. The tables and figures follow from this command alone; networks are "
        "evaluated on the integer model that is deployed.",
        *outcome.notes,
        "## What the source claims, and what was found",
        findings_markdown(outcome.findings),
        "## Figures",
        *(f"![{plot.caption}]({plot.name}.png)\n\n{plot.caption}" for plot in outcome.plots),
        "## Table",
        "Values with 95 % confidence intervals in brackets; all digits are in [table.csv](table.csv).",
        table_markdown(outcome),
        "## Method",
        *outcome.method,
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def findings_markdown(findings: Sequence[Finding]) -> str:
    """Return the findings claim by claim, each with a table of conditions."""
    parts = []
    for claim in dict.fromkeys(finding.claim for finding in findings):
        rows = [[f.where, f.found, f"**{f.verdict}**"] for f in findings if f.claim == claim]
        parts.append(f"**{claim}.**\n\n{markdown_table(['condition', 'found', 'verdict'], rows)}")
    return "\n".join(parts)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; vertical bars in cells are escaped."""
    lines = [list(header), ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines) + "\n"


def _csv_names(column: Column) -> list[str]:
    return [column.name, f"{column.name}_low", f"{column.name}_high"] if column.interval else [column.name]


def _csv_cells(cell: Cell) -> list[str]:
    if isinstance(cell, Interval):
        return [repr(cell.value), repr(cell.low), repr(cell.high)]
    return [cell if isinstance(cell, str) else repr(cell)]


def _shown(cell: Cell, column: Column) -> str:
    if isinstance(cell, Interval):
        return cell.text(column.spec)
    return format(cell, column.spec)
