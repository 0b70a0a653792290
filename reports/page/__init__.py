"""Blocks -> HTML and PDF: text, tables, figures, numbers as people read them, files written whole.

Knows nothing of comparisons or ablations.
"""
