"""Commands of ``monai-sr`` around reports: of evaluations, blind comparisons and their scores."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from monai_sr.core import printable, safe_cell


def add_report_commands(commands: Any) -> None:
    """Add the parsers of :data:`REPORT_COMMANDS`."""
    report = commands.add_parser("report", help="make a page of an evaluation", allow_abbrev=False)
    report.add_argument("results", help="folder that monai-sr evaluate --save_images wrote to")
    report.add_argument("-o", "--output", help="the page (RESULTS/report.html)")
    report.add_argument(
        "--root", nargs="+", default=(), help="folders of the images, for the windows of DICOM"
    )
    compare = commands.add_parser(
        "compare", help="make a page for blind comparisons of results", allow_abbrev=False
    )
    compare.add_argument(
        "folders", nargs="+", metavar="DIR", help="results of one system, the folder named like it"
    )
    compare.add_argument("-o", "--output", required=True, help="folder of the page")
    compare.add_argument("--key", help="file that tells whose is which (OUTPUT_key.json)")
    compare.add_argument("--trials", type=int, help="how many pairs (default: all)")
    compare.add_argument("--seed", type=int, default=0, help="of order and sides (%(default)s)")
    scores = commands.add_parser(
        "compare-scores", help="score systems by what readers chose", allow_abbrev=False
    )
    scores.add_argument("tables", nargs="+", metavar="CSV", help="what readers saved on the page")
    scores.add_argument("--key", nargs="+", required=True, help="keys of the pages")
    scores.add_argument("-o", "--output", help="CSV file of the scores")
    scores.add_argument("--seed", type=int, default=0, help="of the bootstrap (%(default)s)")


def _report(arguments: argparse.Namespace) -> None:
    from monai_sr.reports import write_evaluation_report

    results = Path(arguments.results)
    folder = results.parent if results.is_file() else results
    output = Path(arguments.output or folder / "report.html")
    count = write_evaluation_report(results, output, arguments.root)
    print(f"{printable(output)}: {count} images, {output.stat().st_size / 1e6:.1f} MB")


def _compare(arguments: argparse.Namespace) -> None:
    from monai_sr.reports import write_blind_comparison

    output = Path(arguments.output)
    key = Path(arguments.key or output.absolute().with_name(f"{output.absolute().name}_key.json"))
    count = write_blind_comparison(
        arguments.folders, output, key, count=arguments.trials, seed=arguments.seed
    )
    print(
        f"{count} pairs: give readers {printable(output)}, open "
        f"{printable(output / 'index.html')}; keep {printable(key)}"
    )


def _scores(arguments: argparse.Namespace) -> None:
    import csv
    from dataclasses import asdict

    from monai_sr.core import atomic_file
    from monai_sr.evaluation import score_systems
    from monai_sr.reports import read_choices

    choices = read_choices(arguments.tables, arguments.key)
    scores = score_systems(choices, arguments.seed)
    readers = len({choice.reader for choice in choices})
    print(f"{len(choices)} answers of {readers} reader{'s' * (readers != 1)}")
    width = max(len("system"), *(len(score.system) for score in scores))
    print(f"{'system':{width}}  score  95 % interval  win  tie  loss  Bradley-Terry")
    for s in scores:
        interval = f"{s.low:.3f} - {s.high:.3f}"
        print(
            f"{printable(s.system):{width}}  {s.score:.3f}  {interval:13}  {s.wins:3}  {s.ties:3}  "
            f"{s.losses:4}  {s.strength:+13.3f}"
        )
    if arguments.output:
        rows = [asdict(score) for score in scores]
        with (
            atomic_file(arguments.output) as partial,
            partial.open("w", newline="", encoding="utf-8") as stream,
        ):
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows({k: safe_cell(v) for k, v in row.items()} for row in rows)


REPORT_COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "report": _report,
    "compare": _compare,
    "compare-scores": _scores,
}
