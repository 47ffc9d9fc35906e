"""Write the dashboards: ``python -m grafana.build``; with ``--check``, only say whether they are up to date."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from grafana import board_pipeline, board_rules, board_runbook, board_worth
from grafana.kit import Board, render

BOARDS: dict[str, Board] = {
    "pipeline.json": board_pipeline.BOARD,
    "rules.json": board_rules.BOARD,
    "runbook.json": board_runbook.BOARD,
    "worth.json": board_worth.BOARD,
}
FOLDER = Path(__file__).parent / "dashboards"


def rendered(board: Board) -> str:
    """The board's file, to the byte."""
    return json.dumps(render(board), indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str], folder: Path = FOLDER) -> int:
    """Write every dashboard to `folder`, or with ``--check`` name those whose file differs. Returns the exit code."""
    stale = []
    for name, board in BOARDS.items():
        path, text = folder / name, rendered(board)
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
    if stale and "--check" in arguments:
        sys.stderr.write(f"{', '.join(stale)}: not as described; run `python -m grafana.build`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
