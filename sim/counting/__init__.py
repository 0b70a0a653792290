"""Spikes -> exact operation counts, int64, per step and sample.

Knows traces and networks; no machine, no energy.
"""
