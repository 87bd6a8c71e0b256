"""Changes to manifest files that keep comments, order and quoting."""
