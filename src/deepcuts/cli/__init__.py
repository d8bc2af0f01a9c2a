"""The command line: a skin over the library. One file for each stage: parse, one library call, print."""

from deepcuts.cli.main import main

__all__ = ["main"]
