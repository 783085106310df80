"""``python -m naejax`` is the command line."""

from naejax.cli import main

main()
