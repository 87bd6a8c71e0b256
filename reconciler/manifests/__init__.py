"""Manifests: reading YAML with positions, the schema, the models, the rules and diagnostics."""
