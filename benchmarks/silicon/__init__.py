"""Rows, page and figure of docs/validation.md, for ``validation.py``.

Writes nothing by itself.
"""
