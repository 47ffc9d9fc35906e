"""The pure core: values in, values out. No I/O, no clock, no environment, no randomness, no async, no logging."""


def build() -> str:
    """Whether the core runs as it is written (``python``) or compiled by mypyc (``compiled``, see setup.py)."""
    from streams.core import engine  # noqa: PLC0415 - whoever imports the core's definitions needs no engine

    return "python" if str(engine.__file__).endswith(".py") else "compiled"
