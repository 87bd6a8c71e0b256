"""Manifests: bytes with positions, the schema, the models, the rules, and what is said of them."""
