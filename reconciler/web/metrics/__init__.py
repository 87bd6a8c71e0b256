"""`/metrics` for Prometheus: the catalogue of all metrics, what fills them, and who answers."""
