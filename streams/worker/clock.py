"""Wall time that nobody sets: read once, when the process starts, and carried on by the clock that never jumps.

Wall time moves the clock of a partition that is caught up (see `partition.py`), and that clock never goes back. Were
it the system's, a machine whose clock is put forward by an hour would fire every timer, and take every event of the
next hour for late; put back by an hour, its timers would wait for an hour. What the system's clock says meanwhile is
looked at once a second (see `watchdog.py`) and told; a process that is started again believes it.
"""

from __future__ import annotations

import time

# The clock that goes on while the machine sleeps, where there is one (Linux). NTP slews it as it does the wall's.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now_s() -> float:
    """Seconds of a clock that never goes back and is not set by anybody."""
    return time.clock_gettime(_CLOCK)


_STARTED_MS = time.time_ns() // 1_000_000 - int(now_s() * 1000)


def wall_ms() -> int:
    """Wall time, ms, as if the system's clock had not been set since this process started."""
    return _STARTED_MS + int(now_s() * 1000)


def stepped_ms() -> int:
    """By how much the system's clock has been set since this process started, ms; about 0 when it was not."""
    return time.time_ns() // 1_000_000 - wall_ms()
