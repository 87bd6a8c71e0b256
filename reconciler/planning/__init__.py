"""Planning. Pure: the declared and the last good manifests give the desired state. Compared with
the running collectors, it gives the plan."""
