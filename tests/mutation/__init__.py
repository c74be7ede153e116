"""Seeded bugs in the heart of the package, and a runner that shows that the tests catch each of them."""
