"""Train spiking networks, binary or not, and record what they do: torch, Norse and tonic live here and nowhere else.

Knows sim; no energy, no reports.
"""
