"""Outcomes as text."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

from qhn2edge.studies import STUDIES, Outcome
from qhn2edge.studies.intervals import Interval
from qhn2edge.studies.page import markdown_table, page_markdown, table_csv, table_markdown
from qhn2edge.studies.study import Column, Finding

OUTCOME = Outcome(
    notes=("What was run.",),
    columns=(Column("data", "data"), Column("n", "runs"), Column("p", "P(E < x)", ".2f", interval=True)),
    rows=(("a, b", 3, Interval(1 / 3, 0.1, 0.9)),),
    findings=(Finding("C", "here", "f", "holds"), Finding("D", "here", "g", "does not hold")),
    plots=(),
)


def test_csv_keeps_all_digits() -> None:
    """Intervals take three columns, and numbers come back bit for bit."""
    (row,) = csv.DictReader(io.StringIO(table_csv(OUTCOME)))
    assert list(row) == ["data", "n", "p", "p_low", "p_high"]
    assert (row["data"], row["n"], float(row["p"])) == ("a, b", "3", 1 / 3)


def test_markdown_rounds() -> None:
    """People see the digits that the column says."""
    assert table_markdown(OUTCOME).splitlines()[-1] == "| a, b | 3 | 0.33 [0.10, 0.90] |"


def test_bars_are_escaped() -> None:
    """A vertical bar in a cell does not open a new one."""
    assert markdown_table(["a|b"], [["|x|"]]) == "| a\\|b |\n| --- |\n| \\|x\\| |\n"


def test_page_names_verdicts_by_claim() -> None:
    """Each claim heads the table of its findings, in order, with the verdict that was found."""
    page = page_markdown(STUDIES["locality"], OUTCOME, "qhn2edge study locality")
    assert page.index("**C.**") < page.index("| here | f | **holds** |") < page.index("**D.**")
    assert page.index("**D.**") < page.index("| here | g | **does not hold** |")
    assert "    qhn2edge study locality\n" in page
    turned = replace(OUTCOME, findings=(Finding("C", "here", "f", "does not hold"),))
    assert "**holds**" not in page_markdown(STUDIES["locality"], turned, "")
