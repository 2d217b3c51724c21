"""No input reads, writes or contacts anything but itself and what lies beside it.

The system calls of a process that enlarges hostile and damaged files are watched with strace. Files
that the process opens for itself (libraries, PROJ's tables, its own limits) lie in known places.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from benchmarks.fuzz_inputs import mutants
from tests.hostile_factory import attacks, harmless, image, source, vrt

ROOT = Path(__file__).resolve().parents[2]
_CASES = ROOT.parent / "shared" / "cases"
_CALLS = (
    "openat,open,creat,connect,unlink,unlinkat,rename,renameat,renameat2,truncate,mkdir,symlink"
)
_MARK = "/monai-sr-case/"
# Of the process itself: libraries, tables of PROJ and GDAL, limits of memory, time zones, devices.
_OWN = (
    str(ROOT), sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"), "/proc/", "/sys/",
    "/dev/null", "/dev/urandom", "/dev/shm", "/usr/lib", "/usr/share/", "/lib", "/etc/ld.so",
    "/etc/localtime", "/usr/local/ssl", "/etc/ssl/openssl.cnf", "/usr/local/lib",
)  # fmt: skip
_PROGRAM = f"""
import json, os, sys, warnings
from contextlib import suppress
from pathlib import Path
warnings.simplefilter("ignore")
from benchmarks.fuzz import Pipeline, _judged
pipeline = Pipeline()
for number, line in enumerate(sys.stdin):
    case = json.loads(line)
    with suppress(OSError):
        os.open("{_MARK}" + str(number), os.O_RDONLY)
    kind, said = _judged(pipeline, case["group"], Path(case["source"]), Path(case["out"]), number)
    print(json.dumps([kind, said]), flush=True)
"""


def _can_watch():
    tool = shutil.which("strace")
    if sys.platform != "linux" or tool is None:
        return False
    run = subprocess.run([tool, "-f", "-qq", "true"], capture_output=True, check=False)
    return run.returncode == 0


def _inputs(folder, secret, victim, count):
    """Yield group and path of every input; each lies in a folder of its own."""
    url = "http://127.0.0.1:9"
    for name, make in {**harmless(url), **attacks(secret, victim, url)}.items():
        inside = folder / "attacks" / name / "in"
        inside.mkdir(parents=True)
        yield "attack", make(inside)
    for number, group, name, files in mutants(count):
        inside = folder / "mutants" / str(number)
        for part, content in files.items():
            (inside / part).parent.mkdir(parents=True, exist_ok=True)
            (inside / part).write_bytes(content)
        yield group, next(inside.glob("*.SAFE")) if name == "SAFE" else inside / next(iter(files))
    for case in sorted(_CASES.rglob("*")) if _CASES.is_dir() else ():
        if case.is_file() and case.suffix not in (".pth", ".md", ".xml", ".gz"):
            inside = folder / "cases" / case.parent.name
            shutil.copytree(case.parent, inside, dirs_exist_ok=True)
            yield "weights" if case.suffix == ".pth" else "case", inside / case.name


def _touched(line):
    """Return the path of a call that a file may have caused, or the address; None for others."""
    if "connect(" in line:
        return None if "AF_UNIX" in line or "AF_NETLINK" in line else line.strip()
    if re.search(r"= -1 E(NOENT|NOTDIR)", line) and "O_CREAT" not in line:
        return None  # nothing was there
    paths = re.findall(r'"((?:[^"\\]|\\.)*)"', line)
    # Of a call such as unlinkat(5</tmp/x>, "lock") the folder comes before.
    folder = re.search(r"\w+at2?\([\w]+<([^>]+)>", line)
    name = paths[-1].encode().decode("unicode_escape") if paths else None
    return name if name is None or folder is None else os.path.join(folder[1], name)


def _watch(tmp_path, count):
    home = tmp_path / "home"
    home.mkdir()
    secret, victim = image(home / "secret.tif"), home / "victim"
    victim.write_text("mine")
    cases = list(_inputs(tmp_path / "mail", secret, victim, count))
    outputs = [tmp_path / "out" / str(number) for number in range(len(cases))]
    questions = "".join(
        json.dumps({"group": group, "source": str(path), "out": str(out)}) + "\n"
        for (group, path), out in zip(cases, outputs, strict=True)
    )
    log, temporary = tmp_path / "log", tmp_path / "tmp"
    temporary.mkdir()
    (tmp_path / "out").mkdir()
    run = subprocess.run(
        ["strace", "-f", "-qq", "--seccomp-bpf", "-y", "-s", "4096", "-e", f"trace={_CALLS}", "-o",
         str(log), sys.executable, "-c", _PROGRAM],
        input=questions, capture_output=True, text=True, check=False, cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(temporary), "HOME": str(temporary),
             "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    answers = [json.loads(line) for line in run.stdout.splitlines() if line.startswith('["')]
    found, current = [], -1
    for line in log.read_text(errors="replace").splitlines():
        if _MARK in line:
            current = int(re.search(rf"{_MARK}(\d+)", line)[1])
            continue
        path = _touched(line) if current >= 0 else None
        if path is None or path.startswith(_OWN):
            continue
        around = (cases[current][1].parent, outputs[current], temporary)
        if not any(Path(path).is_relative_to(place) for place in around):
            found.append((str(cases[current][1]), line[:300]))
    assert current == len(cases) - 1
    assert len(answers) == len(cases)
    return cases, answers, found, victim


@pytest.mark.skipif(not _can_watch(), reason="needs strace, and leave to use it")
@pytest.mark.parametrize(
    "count", [pytest.param(28, id="some"), pytest.param(500, id="all", marks=pytest.mark.slow)]
)
def test_no_input_reaches_anything_else(tmp_path, count):
    cases, answers, found, victim = _watch(tmp_path, count)
    assert found == []
    assert victim.read_text() == "mine"
    assert sorted(path.name for path in victim.parent.iterdir()) == ["secret.tif", "victim"]
    # Were nothing opened, nothing would be reached.
    kinds = [kind for kind, _ in answers]
    assert kinds.count("enlarged") > len(harmless("")) - 1
    assert {k for (g, _), k in zip(cases, kinds, strict=True) if g == "attack"} == {
        "enlarged", "refused",
    }  # fmt: skip


@pytest.mark.skipif(not _can_watch(), reason="needs strace, and leave to use it")
def test_the_watch_sees_what_gdal_opens_by_itself(tmp_path):
    secret = image(tmp_path / "secret.tif")
    (tmp_path / "a.vrt").write_text(vrt(source(secret)))
    log = tmp_path / "log"
    program = f"import rasterio; rasterio.open({str(tmp_path / 'a.vrt')!r}).read()"
    subprocess.run(
        ["strace", "-f", "-qq", "-e", f"trace={_CALLS}", "-o", str(log), sys.executable, "-c",
         program],
        check=True, capture_output=True,
    )  # fmt: skip
    assert str(secret) in {_touched(line) for line in log.read_text(errors="replace").splitlines()}
