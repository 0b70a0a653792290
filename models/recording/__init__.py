"""Any network -> a spike trace, and a trained one -> parameters for the replay.

The top of models: knows all rooms below, and nobody in them knows it.
"""
