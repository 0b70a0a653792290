"""Machines as files: price tables with sources, accelerators made of an architecture and prices, static power.

Prices nothing yet.
"""
