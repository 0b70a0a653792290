"""Networks run again from their parameters, without torch, in floats or in fixed point.

Knows networks; no counts, no machine.
"""
