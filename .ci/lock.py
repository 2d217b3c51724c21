"""Write requirements.lock and requirements-dev.lock: the versions of constraints.txt with hashes.

``make lock`` runs it after constraints.txt or pyproject.toml changed; it needs a network and uv.
Both files hold for every platform and Python that is supported. torch, torchvision and what only
they bring are left out: which of their wheels is right depends on the machine, so they are
installed by version.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BY_PLATFORM = re.compile(r"(torch|torchvision|triton|(cuda|nvidia)-[a-z0-9-]+)==")
HEAD = "# Made by `make lock` of constraints.txt: do not edit.\n"


def locked(extra: str | None) -> str:
    """Resolve the package with one extra, and return names, versions, markers and hashes."""
    options = ["--extra", extra] if extra else []
    run = subprocess.run(
        [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "-c", "constraints.txt",
         "--universal", "--python-version", "3.10", "--generate-hashes", "--no-annotate",
         "--no-header", "--quiet", *options],
        cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    blocks = re.split(r"^(?=\S)", run.stdout, flags=re.MULTILINE)
    return HEAD + "".join(block for block in blocks if not BY_PLATFORM.match(block))


if __name__ == "__main__":
    for name, extra in (("requirements.lock", None), ("requirements-dev.lock", "dev")):
        (ROOT / name).write_text(locked(extra), encoding="utf-8")
