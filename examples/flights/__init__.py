"""The demo: a year of real flights as events, and answers about any aircraft at any instant.

``model`` declares the events and the projection, ``data`` reads the flights, ``processes`` publishes and projects them,
``demo`` is the program around that, and ``story`` asks questions.
"""
