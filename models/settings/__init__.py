"""What a training is told: its config, variants by name, tuned learning rates, recipes.

Trains nothing.
"""
