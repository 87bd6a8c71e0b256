"""A strict YAML reader. Every value has its position."""
