"""Output of diagnostics in the formats of people, editors and CI systems."""
