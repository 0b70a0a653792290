"""What is trained: networks of binary or wider weights, with or without the AGMM gate.

Knows networks as data from sim; no data sets, no training.
"""
