"""Recorded spikes on disk and in bits: written, verified, read, salvaged, exchanged.

Knows networks as data; counts nothing.
"""
