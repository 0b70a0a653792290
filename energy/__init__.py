"""Actions x prices = energy, with sources: machines as files, estimates, what explains them, what silicon measured.

Knows sim; no torch, no models, no reports.
"""
