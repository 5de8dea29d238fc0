"""Numbers and pictures for people: tables, the drawing of a search space, progress, energy curves."""
