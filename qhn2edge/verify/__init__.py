"""The same vectors through every backend, integers compared with the interpreter's."""

from __future__ import annotations

from qhn2edge.verify.certificate import Certificate, write_certificate
from qhn2edge.verify.crosscheck import Report, verify_model
from qhn2edge.verify.vectors import Vectors, make_vectors

__all__ = ["Certificate", "Report", "Vectors", "make_vectors", "verify_model", "write_certificate"]
