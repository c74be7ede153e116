"""Real worker processes on real parts, killed and paused in named phases; what is left is checked by the checker."""
