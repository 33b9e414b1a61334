"""`python -m fastnn` and the command `fastnn`.

Here: Ctrl-C while the modules of the commands are imported. Not here: the commands (cli/).
"""

import sys


def run() -> int:
    """Run a command; return the exit code."""
    try:
        from fastnn.cli import main  # takes half a second, in which Ctrl-C may arrive
    except KeyboardInterrupt:
        print("fastnn: error: interrupted; no file was written", file=sys.stderr)
        return 130
    return main()


if __name__ == "__main__":
    sys.exit(run())
