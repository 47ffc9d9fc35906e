"""The command ``avert impact``: wiring and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from streams.cli_shared import AsJson, console, show
from streams.errors import SettingsError

if TYPE_CHECKING:
    from streams.impact.model import Totals
    from streams.impact.page.document import Section
    from streams.impact.report import Options


def impact(  # noqa: PLR0913 - three sources, and what a reader may decide
    *,
    from_: Annotated[
        list[Path] | None,
        Parameter(name="--from", negative="", consume_multiple=True,
                  help="Recorded events: JSON lines, CSV or Parquet, each also .gz; needs --mapping."),
    ] = None,
    mapping: Annotated[
        Path | None, Parameter(help="YAML: which rows are exposures and which are outcomes (docs/impact.md).")
    ] = None,
    url: Annotated[str | None, Parameter(help="The running API, such as http://127.0.0.1:8080.")] = None,
    key: Annotated[str | None, Parameter(help="The server key for --url.")] = None,
    key_file: Annotated[Path | None, Parameter(help="A file whose first line is the server key.")] = None,
    totals: Annotated[Path | None, Parameter(help="Totals that were kept as JSON.")] = None,
    effect: Annotated[float | None, Parameter(help="The change worth knowing of: 0.1 is 10 % of control's.")] = None,
    nudge_cost: Annotated[float | None, Parameter(help="What making one suggestion costs.")] = None,
    planned_visitors: Annotated[
        int | None, Parameter(help="Where intervals are tightest; decide before looking (default: 10000).")
    ] = None,
    html: Annotated[Path | None, Parameter(help="Write the report as one HTML page, to be read anywhere.")] = None,
    case: Annotated[
        Path | None, Parameter(help="Put a case into the page as well, kept with `avert case --json`.")
    ] = None,
    save_totals: Annotated[Path | None, Parameter(help="Also keep the exact totals as JSON, for --totals.")] = None,
    json: AsJson = False,
) -> int:  # fmt: skip
    """What suggestions were worth: control group, intervals that may be looked at daily, money, a verdict."""
    import msgspec

    from streams.impact.assess import assess
    from streams.impact.report import Options
    from streams.impact.terminal import print_report

    if sum(bool(source) for source in (from_ or mapping, url, totals)) != 1:
        raise SettingsError("impact wants one source: --from FILE... --mapping MAP.yaml, --url URL, or --totals FILE")
    if case is not None and html is None:
        raise SettingsError("--case goes into the page: it needs --html PAGE")
    options = Options()
    if from_ or mapping:
        counted, options = _recorded(from_ or [], mapping)
    else:
        counted = _counted(url, key, key_file, totals)
    given = {"effect": effect, "nudge_cost": nudge_cost, "best_at": planned_visitors}
    options = msgspec.structs.replace(options, **{name: value for name, value in given.items() if value is not None})
    _check(options)
    report = assess(counted, options)
    if save_totals is not None:
        save_totals.write_bytes(msgspec.json.encode(counted))
    if html is not None:
        from streams.impact.page.build import write_page

        write_page(report, html, _sections(case))
    show(report, lambda: print_report(report, console()), json=json, html=html)
    return 0


def _sections(case: Path | None) -> list[Section]:
    if case is None:
        return []
    from streams.impact.case.command import read_case
    from streams.impact.case.page import case_sections

    return case_sections(read_case(case))


def _recorded(files: list[Path], mapping: Path | None) -> tuple[Totals, Options]:
    from streams.impact.mapping import read_experiment
    from streams.impact.recorded import totals_of
    from streams.impact.report import Options

    if mapping is None:
        raise SettingsError("--from needs --mapping MAP.yaml, which says what the columns mean")
    if not files:
        raise SettingsError("--mapping needs --from FILE..., the recorded events")
    experiment = read_experiment(mapping)
    options = Options()
    return totals_of(files, experiment), Options(
        effect=options.effect if experiment.effect is None else experiment.effect,
        nudge_cost=experiment.nudge_cost,
    )


def _counted(url: str | None, key: str | None, key_file: Path | None, totals: Path | None) -> Totals:
    from streams.impact.fetch import totals_of_api, totals_of_file

    if totals is not None:
        return totals_of_file(totals)
    if key is None and key_file is not None:
        try:
            key = key_file.read_text().split("\n", 1)[0].strip()
        except (OSError, ValueError) as error:
            raise SettingsError(f"--key-file {key_file}: {error}") from error
    return totals_of_api(url or "", key)


def _check(options: Options) -> None:
    limits = (
        ("--effect", 0 < options.effect <= 1, "a share above 0 and up to 1, such as 0.1"),
        ("--nudge-cost", (options.nudge_cost or 0) >= 0, "an amount that is not negative"),
        ("--planned-visitors", options.best_at >= 100, "100 visitors at least"),
    )
    for name, good, wants in limits:
        if not good:
            raise SettingsError(f"{name} wants {wants}")
