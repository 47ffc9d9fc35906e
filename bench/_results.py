"""RESULTS.md from what the benchmarks said last: tables only; what they mean stands in docs/performance.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench._peers import BENCH_JOBS, PEERS, PEERS_BY_NAME
from bench._processes import ROOT

Part = dict[str, Any]
LOAD_RATIO_MAX = 1.5
_TITLES = {
    "count": "J1, count: two searches without a result within 5 minutes",
    "sequence": "J2, sequence: product view, cart, checkout within 10 minutes, others between",
    "absence": "J3, absence: a checkout and no purchase for 2 minutes, by event time",
}


def markdown(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(cell: Any) -> str:
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}"
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)


def render(parts: dict[str, Part]) -> str:
    """The whole page. A part `NAME@WHATEVER` is told of as NAME is."""
    sections = [_HEAD, _versions(parts)]
    told = {name: write for name in parts if (write := _SECTIONS.get(name.partition("@")[0]))}
    sections += [_noted(write(parts[name]["result"], parts[name]), parts[name]) for name, write in told.items()]
    others = sorted(set(parts) - set(told))
    if others:
        sections.append("## Other benchmarks\n\nIn `results.json`, described in docs/performance.md: " + ", ".join(
            f"`{name}`" for name in others) + ".")  # fmt: skip
    return "\n\n".join(sections) + "\n"


def _noted(section: str, part: Part) -> str:
    """A section, and what has to be known of how it was come by this time."""
    return f"{section}\n\n{part['note']}" if "note" in part else section


_HEAD = """\
# Results of `make bench`

Written by `python -m bench`; all runs are in [results.json](results.json). Read first what each figure is and how it
was come by: [docs/performance.md](../docs/performance.md). Medians; in brackets the least and the most.
A load average above the number of cores means that the machine was doing other work: events a second then say little,
CPU seconds a million events are what counts, and ratios within one table more than either."""


_JOBS_HEAD = """\
## Three jobs

`python -m bench.jobs`: Apache Kafka, a topic of 4 partitions, 5,000 visitors (Faust, with 60,000 events: 1,000); one
worker or thread each. Memory is the most that a process and its children held."""


def _versions(parts: dict[str, Part]) -> str:
    poms = {
        "Kafka Streams": PEERS / "java" / "kafka-streams" / "pom.xml",
        "Flink": PEERS / "java" / "flink" / "pom.xml",
        "Apache Kafka": ROOT / "kafka" / "pom.xml",
    }
    artifacts = {"Kafka Streams": "kafka-streams", "Flink": "flink-cep", "Apache Kafka": "kafka_2.13"}
    found = []
    for title, path in poms.items():
        pattern = rf"<artifactId>{artifacts[title]}</artifactId>\s*<version>(.*?)</version>"
        match = re.search(pattern, path.read_text())
        found.append(f"{title} {match[1] if match else '?'}")
    pinned = [(PEERS / f"requirements-{name}.txt").read_text().split()[0] for name in ("quix", "bytewax")]
    found += [pin.replace("==", " ") for pin in pinned]
    machine = next(iter(parts.values()))["machine"] if parts else ""
    rows = [[f"`{name}`", part["began"], part["minutes"], part["load_before"], part["load_after"], part["commit"]]
            for name, part in parts.items()]  # fmt: skip
    head = ("benchmark", "began (UTC)", "minutes", "load before", "load after", "commit")
    java = next((part["java"] for part in parts.values()), "")
    return f"{machine}; {', '.join(found)}; {java}.\n\n" + markdown(head, rows)


def _jobs(result: Part, part: Part) -> str:
    settings = markdown(
        ("peer", "settings"), [[peer.title, peer.settings] for peer in PEERS_BY_NAME.values()]
    )
    out = [_JOBS_HEAD, settings]
    if "title" in part:  # the same once more, of another state of the program
        out = [f"## Three jobs {part['title']}"]
    for job in BENCH_JOBS:
        rows = [row for row in result["rows"] if row["job"] == job]
        if rows:
            out.append(f"### {_TITLES[job]}\n\n" + markdown(
                ("peer", "events", "runs", "events/s", "CPU s / M", "MiB", "matches", "= reference", "load"),
                [_job_row(row) for row in rows],
            ))  # fmt: skip
            out.append("\n".join(_beside(rows)))
    return "\n\n".join(out)


def _job_row(row: Part) -> list[Any]:
    peer = PEERS_BY_NAME[row["peer"]]
    remark = peer.remarks.get(row["job"])
    return [
        peer.title + (f" ({remark})" if remark else ""), row["events"], row["runs"],
        f"{row['events_per_s']:,} ({row['events_per_s_min']:,} to {row['events_per_s_max']:,})",
        f"{row['cpu_s_per_m']} ({row['cpu_s_per_m_min']} to {row['cpu_s_per_m_max']})",
        row["peak_mib"], row["matches"], "yes" if row["right"] else "**no**", row["load_average"],
    ]  # fmt: skip


def _beside(rows: list[Part]) -> Iterator[str]:
    """How many times a peer's CPU Avert needs, and its events a second."""
    for events in sorted({row["events"] for row in rows}):
        here = {row["peer"]: row for row in rows if row["events"] == events}
        both = {name: row for name in ("avert", "avert-compiled") if (row := here.pop(name, None))}
        for name, ours in both.items():
            said = ", ".join(f"{PEERS_BY_NAME[other].title} {_ratios(ours, row)}" for other, row in here.items())
            us = PEERS_BY_NAME[name].title
            if said:
                yield f"- {events:,} events; a peer's CPU over that of {us}, and its events/s over the peer's: {said}."


def _ratios(ours: Part, theirs: Part) -> str:
    """Nothing, where the machine was much busier for one than for the other: that would be unfair to somebody."""
    loads = sorted((ours["load_average"], theirs["load_average"]))
    if loads[1] > LOAD_RATIO_MAX * loads[0]:
        return f"not comparable (load {theirs['load_average']} beside {ours['load_average']})"
    cpu = theirs["cpu_s_per_m"] / ours["cpu_s_per_m"]
    return f"{cpu:.2f} and {ours['events_per_s'] / theirs['events_per_s']:.2f}"


def _latency(result: Part, _: Part) -> str:
    rows = [[row["job"], PEERS_BY_NAME[row["peer"]].title, row["runs"], row["p50_ms"],
             f"{row['p99_ms']} ({row['p99_ms_min']} to {row['p99_ms_max']})", row["max_ms"], row["measured"],
             "yes" if row["right"] else "**no**", row["cpu_cores"], row["load_average"]]
            for row in result["rows"]]  # fmt: skip
    return (
        f"## Latency at a fixed rate\n\n`python -m bench.jobs_latency`: {result['rows'][0]['per_s']:,} events/s; from "
        "an event's production to its match being readable in the output topic.\n\n"
        + markdown(
            ("job", "peer", "runs", "p50 ms", "p99 ms", "max ms", "matches", "= reference", "cores", "load"), rows
        )
    )


def _worker(result: Part, _: Part) -> str:
    rows = [["Avert", result["events"], len(result["avert_runs"]), _spread(result["avert_runs"]),
             result["avert_cpu_s_per_m"], result["avert_matches"], result["reference_matches"]]]  # fmt: skip
    after = ""
    if "ratio" in result:
        rows.append(["idiomatic Faust, the same rules", result["faust_events"], len(result["faust_runs"]),
                     _spread(result["faust_runs"]), result["faust_cpu_s_per_m"], result["faust_matches"],
                     result["faust_reference_matches"]])  # fmt: skip
        cpu = result["faust_cpu_s_per_m"] / result["avert_cpu_s_per_m"]
        after = f"\n\n{result['ratio']} times the events a second, {cpu:.1f} times less CPU an event."
    else:
        rows[0][-1] = "none"
    return (
        f"## {result['rules']} rules{' of every kind' if result['every_kind'] else ''}, one worker\n\n"
        f"Load average at the end {result['load_average']}.\n\n"
        + markdown(("", "events", "runs", "events/s", "CPU s / M", "matches", "reference"), rows) + after
    )  # fmt: skip


def _spread(rates: list[int]) -> str:
    ordered = sorted(rates)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) // 2
    return f"{middle:,} ({ordered[0]:,} to {ordered[-1]:,})"


def _curve(result: Part, _: Part) -> str:
    rows = [[row["partitions"], row["processes"], row["runs"],
             f"{row['events_per_s']:,} ({row['events_per_s_min']:,} to {row['events_per_s_max']:,})",
             row["cpu_s_per_m"], row["load_average"]] for row in result["rows"]]  # fmt: skip
    said = f"## Partitions and processes, {result['rules']} rules\n\n`python -m bench.curve`\n\n" + markdown(
        ("partitions", "processes", "runs", "events/s", "CPU s / M", "load"), rows
    )
    ended = [end for run in result["runs"] for end in run.get("ended", ())]
    if ended:
        said += f"\n\nOn this machine a worker ended and was started again {len(ended)} times: {', '.join(ended)}."
    return said


def _stages(result: Part, _: Part) -> str:
    trees = list(result["trees"].values())
    names = [Path(tree).name for tree in result["trees"]]
    rows = [[stage, *(one[stage] for one in trees)] for stage in trees[0]]
    return (
        f"## Where the time of an event goes: {result['work']}\n\n`python -m bench.stages`, {result['events']:,} "
        f"events, load average {result['load_average']}; µs an event. The profiler does not see compiled functions: "
        "decode and engine are then in what is around them (the event loop).\n\n" + markdown(("stage", *names), rows)
    )


_SECTIONS: dict[str, Callable[[Part, Part], str]] = {
    "jobs": _jobs, "jobs_latency": _latency, "worker": _worker, "worker_every_kind": _worker, "curve": _curve,
    "stages": _stages, "stages_count": _stages,
}  # fmt: skip
