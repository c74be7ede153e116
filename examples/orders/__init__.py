"""A service with a database of its own: commands over HTTP, an outbox, a relay, a projection, and questions about it.

``model`` declares the events and the projection, ``decide`` says what a command makes of an order, ``tables`` is the
service's own database, ``desk`` changes it and publishes in one transaction, ``app`` is the HTTP in front of that and
``telling`` what it answers; ``processes`` is all that runs, and ``python -m examples.orders`` runs it.
"""
