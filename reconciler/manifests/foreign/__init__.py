"""Conversion of other tools' configurations into manifests, with notes on what is lost, and their
secrets."""
