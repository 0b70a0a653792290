"""What a comparison's report says: its sections, sentences, tables and figures for readers.

Reads plain comparisons; renders and writes nothing.
"""
