"""Random faults while mail flows; at the end every message must have arrived exactly once. `make
soak`."""
