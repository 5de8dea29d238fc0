"""``python -m qhn2edge``: the same as the ``qhn2edge`` command."""

from qhn2edge.cli import main

if __name__ == "__main__":
    main()
