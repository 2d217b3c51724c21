"""Figures in documents are those that were measured with the present weights."""

import subprocess
import sys


def test_documents_show_the_kept_rows(repo_root):
    script = repo_root / "benchmarks" / "publish.py"
    found = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, cwd=repo_root
    )
    assert found.returncode == 0, found.stdout + found.stderr
