"""Run folders and checkpoints: what a training leaves on disk, and how it is taken up again.

Trains nothing, records nothing.
"""
