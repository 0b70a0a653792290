"""Variants set against each other as plain data: matched, summarised, paired by seed, tested.

Full precision, no sentences for readers, no page.
"""
