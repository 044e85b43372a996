"""The one front door: login, sessions, personal tokens, identity, and the guard in front of every route.

``app.Gateway`` is what the composition root starts; ``users.Users``, ``tokens.Tokens`` and ``sessions.Sessions`` stand
on the records database after ``app.migrate``.
"""
