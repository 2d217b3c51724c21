"""Ask for known vulnerabilities of the pinned versions; say plainly where nobody could be asked.

``make audit`` runs it. Exit code 0: asked, none known; 1: some are known; 2: not all was checked.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_ASK = ("-m", "pip_audit", "-r", "constraints.txt", "--no-deps", "--disable-pip", "-f", "json")


def verdict(answer: str, reason: str = "") -> tuple[int, str]:
    """Return exit code and words for what pip-audit answered: JSON, or nothing and a reason."""
    try:
        packages = json.loads(answer)["dependencies"]
    except (ValueError, KeyError):
        packages = []
    checked = [p for p in packages if "vulns" in p]
    if not checked:
        last = (reason.strip().splitlines() or ["no answer"])[-1].partition("(")[0]
        why = next((p["skip_reason"] for p in packages if "skip_reason" in p), last)
        return 2, (
            "audit: NOTHING WAS CHECKED: no network, or nobody there who knows of vulnerabilities "
            f"({why[:120]}); run make audit again with a network"
        )
    known = [
        f"{p['name']} {p['version']}: {v['id']}, mended in {', '.join(v['fix_versions']) or 'none'}"
        for p in checked
        for v in p["vulns"]
    ]
    words = [f"audit: {len(checked)} of {len(packages)} pinned packages checked"]
    words += [f"audit: NOT CHECKED: {p['name']}" for p in packages if "vulns" not in p]
    words += [f"audit: KNOWN: {line}" for line in known] or ["audit: no known vulnerability"]
    return 1 if known else 2 * (len(checked) < len(packages)), "\n".join(words)


def main() -> int:
    """Run pip-audit."""
    command = [sys.executable, *_ASK]
    run = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    code, words = verdict(run.stdout, run.stderr)
    print(words)
    return code


if __name__ == "__main__":
    sys.exit(main())
