"""Blocks -> HTML and PDF: text, tables and figures of a report, and files written whole.

Knows nothing of comparisons or ablations.
"""
