"""What is served over HTTP: the API, the probes and the metrics, and the page."""
