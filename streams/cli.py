"""The commands: wiring and nothing else. Each room is imported by the command that needs it.

Exit codes: 0 done; 1 the answer is no (a rule test failed, `doctor` found a problem) or an internal error; 2 a wrong
option or setting; 3 rule files; 4 a state row of an unknown version; 5 no broker; 6 topics that contradict each
other; 7 a supervised process; 8 a recording; 130 Ctrl-C; 141 nobody reads what it prints.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from streams.cli_case import case
from streams.cli_impact import impact
from streams.cli_outcomes import outcomes_app
from streams.cli_plan import plan_app
from streams.cli_rules import rules_app
from streams.cli_shared import (
    AsJson,
    Mapping,
    RulesDir,
    replay_options,
    say,
    say_json,
    settings_with,
    table,
)
from streams.errors import AvertError, SettingsError
from streams.settings import load_settings

app = cyclopts.App(
    name="avert",
    help="Watches a clickstream, sees who is heading for an anti-conversion, and offers something better in time.",
    help_epilogue="Settings come from AVERT_* variables. Exit codes: 0 done, 1 no, 2 usage or settings, 3 rules, "
    "4 state version, 5 broker, 6 topics, 7 process, 8 recording, 130 Ctrl-C.",
    version=lambda: version("avert"),
)
app.command(rules_app)
app.command(impact)
app.command(case)
app.command(outcomes_app)
app.command(plan_app)

# --- processes -------------------------------------------------------------------------------------------------


@app.command
def up(
    *,
    rules: RulesDir = None,
    port: Annotated[int, Parameter(help="The API's port on 127.0.0.1; 0 takes a free one.")] = 0,
) -> int:
    """Everything on this machine: embedded broker and cache, worker, API. Memory only; Ctrl-C ends it."""
    from streams.embedded.up import run_up

    return run_up(settings_with(rules_dir=rules), port)


@app.command
def worker(
    *,
    rules: RulesDir = None,
    processes: Annotated[int, Parameter(help="So many under one command: one a core. Together one HTTP port.")] = 1,
) -> int:
    """A worker against any Kafka and Redis. As many as there are partitions have work, and no more."""
    if processes != 1:
        from streams.worker.processes import supervise

        return supervise(settings_with(rules_dir=rules), processes)
    from streams.worker.main import main as run

    return int(run(settings_with(rules_dir=rules)))


@app.command
def api(
    *,
    processes: Annotated[
        int, Parameter(help="So many behind one port; metrics ports count up from AVERT_METRICS_PORT.")
    ] = 1,
) -> int:
    """The collector and suggestion API against any Kafka and Redis."""
    if processes != 1:
        from streams.http.processes import supervise

        return supervise(load_settings(), processes)
    from streams.http.main import main as run

    return int(run(load_settings()))


@app.command
def demo(
    *,
    seconds: Annotated[
        float | None, Parameter(help="End after so many seconds, with one JSON object as the last line.")
    ] = None,
    visitors: Annotated[int, Parameter(help="How many are in the shop at a time.")] = 300,
    seed: Annotated[int, Parameter(help="Of the simulation: the same seed, the same visitors.")] = 1,
    rules: RulesDir = None,
    recording: Annotated[
        Path | None, Parameter(help="Recorded shop traffic (default: the copy in tests/data, where there is one).")
    ] = None,
) -> int:
    """Recorded shop traffic and a simulated self-service shop on the embedded stack, with a live view."""
    from streams.embedded.demo import DemoOptions, run_demo

    return run_demo(settings_with(rules_dir=rules), DemoOptions(seconds, visitors, seed, recording))


# --- recordings ------------------------------------------------------------------------------------------------


@app.command
def replay(
    file: Annotated[Path, Parameter(help="JSON lines; .gz is unpacked.")],
    *,
    mapping: Annotated[Mapping | None, Parameter(name="*")] = None,
    kafka: Annotated[str | None, Parameter(help="The broker's address (default: AVERT_KAFKA_BOOTSTRAP).")] = None,
    json: AsJson = False,
) -> int:
    """Put recorded events into Kafka; the engine's time is then the events'."""
    from streams.embedded.replaying import replay_file

    options = replay_options(mapping or Mapping())
    result = replay_file(file, settings_with(kafka_bootstrap=kafka), options)
    for line in result.bad_lines:
        sys.stderr.write(f"{file}: {line}\n")
    if json:
        say_json(result)
    else:
        say(f"{result.sent:,} events, {result.visitors:,} visitors, {result.seconds:g} s; {result.bad:,} bad lines")
    return 0


# --- state of the installation -----------------------------------------------------------------------------------


@app.command
def doctor(*, json: AsJson = False) -> int:
    """Is this installation fit for work? Broker, topics, cache, rules, keys, and what answers to whom."""
    from streams.doctor import as_json, examine

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it would complain of is a finding
    findings = asyncio.run(examine(load_settings()))
    result = as_json(findings)
    if json:
        say_json(result)
    else:
        table(result["findings"])
    return 0 if result["ok"] else 1


def main(arguments: list[str] | None = None) -> int:
    """Run one command. What goes wrong is one line on stderr (rule files: one a finding) and an exit code."""
    try:
        result = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except cyclopts.CycloptsError as error:
        sys.stderr.write(f"avert: {' '.join(str(error).split())}\n")
        return SettingsError.exit_code
    except AvertError as error:
        sys.stderr.write(f"{error}\n" if "\n" in str(error) else f"avert: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever reads has read enough (`| head`). Python would say so once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    sys.exit(main())
