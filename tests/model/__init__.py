"""The frozen values, where they do more than hold."""
