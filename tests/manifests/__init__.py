"""Tests of manifests: files, YAML, the schema and the rules."""
