"""The one error of the parts."""

from everwhen.errors import EverwhenError


class PartsError(EverwhenError):
    """A real part cannot be had or does not behave: what was looked for, and what to do about it.

    It is no leaf of the tree in ``everwhen.errors``, since no program meets it: only tests and demos start parts.
    """
