"""Building: a model and a board in, firmware images out."""
