"""The floor that puts the others together."""
