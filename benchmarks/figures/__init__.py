"""The figures of the suite, a module for those that are measured together."""
