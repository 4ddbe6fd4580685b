"""Fleets of phones: hardware, network, availability and battery as aligned arrays, read from traces or made up.

``fleet`` holds the phones and answers for them; ``availability``, ``rates``, ``battery`` and ``hardware`` are the small
tables that they point into, with look-ups that are pure functions of (trace, time); ``stretches`` is what these share.
"""
