"""What networks are trained on: data sets from files or made here, split once and for all.

Knows no network and no training.
"""
