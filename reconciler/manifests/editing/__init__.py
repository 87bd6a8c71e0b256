"""Changes to manifest files: comments, order and quoting stay."""
