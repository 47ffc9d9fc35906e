"""A process that a supervisor starts: repeats the line that it is told, and ends as that line says.

`stay` ends when its input does; `stubborn` does too, and does not heed SIGTERM; a number is the exit code to end with.
"""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """The body of the process."""
    told = sys.stdin.readline().strip()
    if told == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(told, flush=True)
    if told.isdigit():
        return int(told)
    sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
