"""What a ratio is made of, what would flip it, and what would be if: rates, steps, widths, memories.

Works on estimates; writes no sentence and draws nothing.
"""
