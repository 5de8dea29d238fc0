"""How restarts advance: exactly over all 2^N costs, on sampled bitstrings, or by a classical search.

A recipe starts a restart, advances a batch of them by one step, and turns a finished one into its result. The
loop in ``training.py`` does the rest (order, checkpoints, observers), the same for every recipe.
"""

from qhn2edge.recipes.recipe import Recipe, Running, make_recipe, recipe_kind

__all__ = ["Recipe", "Running", "make_recipe", "recipe_kind"]
