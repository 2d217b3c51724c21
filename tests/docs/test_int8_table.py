"""The table of what integers cost says what was measured."""

import csv
import re

NAMES = {"XRay": "X-rays", "model": "best"}
ROW = re.compile(r"^\| ([\w-]+) \((\d+)\) \| (best|fast) \| ×(\d) \| (.+) \|$", re.MULTILINE)
COLUMNS = {"psnr_float32": 2, "psnr_int8": 2, "loss": 3, "worst_loss": 3}


def test_rows_are_those_of_the_results(repo_root):
    text = (repo_root / "docs/how-to/runtimes.md").read_text(encoding="utf-8")
    told = {match[:4]: match[4].split(" | ") for match in ROW.findall(text)}
    with (repo_root / "benchmarks" / "results" / "int8.csv").open(encoding="utf-8") as stream:
        measured = {
            (
                NAMES.get(row["set"], row["set"]),
                row["images"],
                NAMES.get(row["weights"], row["weights"]),
                row["scale"],
            ): [f"{float(row[name]):.{digits}f}" for name, digits in COLUMNS.items()]
            for row in csv.DictReader(stream)
        }
    assert told == measured
