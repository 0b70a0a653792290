"""Sweeps of trainings: the file, its jobs, worker processes that may die, and a run that goes on where it was.

Knows every floor below but the command line.
"""
