"""What the README, the Makefile and the image promise."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
