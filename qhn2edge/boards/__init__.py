"""Boards: one TOML file each, and what it says, checked."""
