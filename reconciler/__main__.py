"""`python -m reconciler`: the command, where its script is not on the path."""

from __future__ import annotations

from reconciler.cli import main

if __name__ == "__main__":
    main()
