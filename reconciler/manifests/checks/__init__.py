"""What is checked in manifests: each document against its model, and all of them together."""
