"""Emulators: firmware that runs on this machine, behind the same serial line as a real board."""
