"""The manifests: their files, their YAML, their schema and their rules."""
