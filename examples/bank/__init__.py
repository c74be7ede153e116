"""The first screen of the README as a program."""
