"""The JSON Schema of the manifests, generated from the models."""
