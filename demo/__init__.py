"""`make demo`: a private mail server, the manifests that collect from it, and the daemon over them,
to watch.

Everything lies in `.demo/`, which git ignores and which is made anew at every start.
"""
