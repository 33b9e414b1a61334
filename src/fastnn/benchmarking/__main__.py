"""`fastnn bench` without the rest of the command line: python -m fastnn.benchmarking."""

from __future__ import annotations

import argparse
import sys

from fastnn.benchmarking import command


def main() -> int:
    """Parse the arguments, run the command, and return its exit code."""
    description = "Measure the speed of this machine, and of fastnn and other libraries on it."
    parser = argparse.ArgumentParser(prog="fastnn bench", description=description)
    command.add_arguments(parser)
    try:
        return command.run(parser.parse_args())
    except KeyboardInterrupt:
        return 130  # as shells do


if __name__ == "__main__":
    sys.exit(main())
