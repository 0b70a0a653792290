"""Networks as data: layers with shapes, kinds and neurons, who feeds whom, and who reaches whom.

Knows no spikes, no files and no machine.
"""
