"""`python -m deepcuts` is the same as `deepcuts`."""

from deepcuts.cli.main import main

main()
