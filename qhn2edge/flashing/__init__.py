"""Flashing: built firmware goes into a board, by the tool that the board names; see ``plan.py``."""
