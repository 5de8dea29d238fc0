"""Proofs over all inputs, by decision diagrams: that a backend's files compute the model's function.

A proof is a statement about every input at once. Each unit of the network is built twice as a binary decision
diagram, from the model's integers (specification.py) and from the backend's own product (the gates of the
Verilog, the machine instructions of the C); equal functions have equal diagrams. Where the whole network is
too large for diagrams, each layer is proved over all inputs of that layer, its own free variables. As every
layer then equals its specification for whatever enters it, so does their composition. The reverse does not
hold: inputs of an inner layer for which it differs may never occur, and are followed back to the network's
input before anything is said of them.

A unit of a convolution is a unit of its dense kernel over one window, and of windows that are alike one is
compared (windows.py, c_windows.py). Units of many inputs are followed sum by sum, each partial sum a free
variable from there on (chains.py for words of packed inputs, counts.py for trees of adders).
"""

from __future__ import annotations
