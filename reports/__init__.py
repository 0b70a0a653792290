"""Comparisons and ablations as figures, sentences, tables, HTML and PDF; `compare` is the face.

Knows energy and sim; no torch, no models.
"""
