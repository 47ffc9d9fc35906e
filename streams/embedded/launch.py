"""Become another program that dies with its parent: ``python -I launch.py PARENT SIGNAL PROGRAM ARGUMENT...``.

Run as a script between fork and exec, so that nothing has to happen in a forked copy of a threaded process.

1. Ask the kernel for SIGNAL when the parent goes (Linux; elsewhere there is no such thing, and this is skipped).
2. If the parent PARENT went before that could be asked: end.
3. Become PROGRAM; the wish outlives the exec.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h

if __name__ == "__main__":
    parent, death_signal = int(sys.argv[1]), int(sys.argv[2])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)  # 1
        if os.getppid() != parent:  # 2
            sys.exit(1)
    os.execv(sys.argv[3], sys.argv[3:])  # noqa: S606  # 3: exactly this, and no shell
