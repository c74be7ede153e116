"""The write side of event sourcing on an outbox: decide, publish, and a conflict instead of a seat sold twice."""
