"""The commands, one module per group, and what they print; cli.py puts them together.

The top of the house: knows everything, and nobody but cli.py knows it.
"""
