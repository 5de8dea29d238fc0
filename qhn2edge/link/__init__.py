"""The serial link between host and board: lines, frames, and a client that survives what lines do to bytes.

``firmware/protocol/PROTOCOL.md`` describes the protocol; ``firmware/protocol/qhn_server.c`` is its other end.
"""

from __future__ import annotations

from qhn2edge.link.client import BoardClient
from qhn2edge.link.line import SerialLine
from qhn2edge.link.results import Answer, Answers, BoardFacts, Statistics

__all__ = ["Answer", "Answers", "BoardClient", "BoardFacts", "SerialLine", "Statistics"]
