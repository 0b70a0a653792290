"""What an ablation's report says: accuracy against energy, which settings are worth having, where advantages end.

Reads the table of an ablation; runs nothing.
"""
