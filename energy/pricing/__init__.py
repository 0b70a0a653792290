"""Actions x prices = energy: estimates of one network, or of several variants, on one machine.

Explains nothing: that is the room above.
"""
