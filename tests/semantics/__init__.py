"""Published complex-event cases, restated neutrally, translated to rule files and run on the real engine."""
