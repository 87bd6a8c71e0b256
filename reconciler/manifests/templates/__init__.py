"""Templates: what many collectors have in common, and how it is put under their own fields."""
