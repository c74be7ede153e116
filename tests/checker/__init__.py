"""A checker that shares no line with the package: it must not repeat the package's mistakes.

Three witnesses: H, what a load generator says that it published (:mod:`tests.checker.sent`); L, the log
(:mod:`tests.checker.logs`); S, the tables of the store (:mod:`tests.checker.stores`). H is compared with L, and S with
a fold of L, at every offset and at every instant. Nothing in here may import ``everwhen``; ``make check`` enforces it.
"""
