"""The demo: a year of real flights as events, and answers about any aircraft at any instant.

``model`` declares the events and the projection, ``data`` reads the flights, ``demo`` publishes and projects them side
by side, ``story`` asks questions.
"""
