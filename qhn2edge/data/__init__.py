"""Data sets as integers, and how raw features become them."""

from __future__ import annotations

from qhn2edge.data.dataset import DataSet
from qhn2edge.data.encoder import KIND_RANGES, Encoder, infer_encoder
from qhn2edge.data.resize import parse_size
from qhn2edge.data.sources import load_data

__all__ = ["KIND_RANGES", "DataSet", "Encoder", "infer_encoder", "load_data", "parse_size"]
