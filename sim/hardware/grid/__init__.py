"""Machines of lanes and memories: events scattered one by one, and dense arrays.

Knows operation counts and architectures; nothing of many-core chips.
"""
