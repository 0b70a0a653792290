"""The commands, one module per group; cli.py puts them together."""
