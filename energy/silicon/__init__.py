"""Machines against measured chips: predictions of published networks, and the bands that reports cite.

Knows machines; no traces, no estimates.
"""
