"""Checks of manifests: of each document by itself, and across all files."""
