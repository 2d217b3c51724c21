"""Write sbom.cdx.json: what a running monai-sr consists of, as CycloneDX 1.6.

``make sbom`` runs it; the wheel carries the file (PEP 770). It lists the package, every library
that it needs by the versions of requirements.lock and constraints.txt, and the weights that come
with it by their SHA-256. CycloneDX 1.6: ECMA-424.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "sbom.cdx.json"
WEIGHTS = (".pt", ".safetensors")
_BY_VERSION = ("torch", "torchvision")  # which requirements.lock leaves out
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)(?:\s*;\s*([^\\\n]+?))?\s*\\?$", re.MULTILINE)


def document() -> dict[str, Any]:
    """Return the whole; the same for the same files."""
    version = re.search(r'__version__ = "(.+?)"', (ROOT / "monai_sr/core/version.py").read_text())
    assert version is not None
    parts = [*_libraries(), *_weights()]
    root = {
        "type": "application", "bom-ref": "monai-sr", "name": "monai-sr", "version": version[1],
        "purl": f"pkg:pypi/monai-sr@{version[1]}",
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }  # fmt: skip
    content = json.dumps([root, parts], sort_keys=True)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, content)}",
        "version": 1,
        "metadata": {"component": root},
        "components": parts,
        "dependencies": [{"ref": "monai-sr", "dependsOn": [part["bom-ref"] for part in parts]}],
    }


def _libraries() -> list[dict[str, Any]]:
    found = _PINNED.findall((ROOT / "requirements.lock").read_text())
    others = _PINNED.findall((ROOT / "constraints.txt").read_text())
    found += [pin for pin in others if pin[0] in _BY_VERSION]
    libraries = []
    for name, version, marker in sorted(found):
        purl = f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{version}"
        library = {
            "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
        }  # fmt: skip
        if marker:
            library["properties"] = [{"name": "python:marker", "value": marker}]  # type: ignore[assignment]
        libraries.append(library)
    return libraries


def _weights() -> list[dict[str, Any]]:
    folders = (ROOT / "bundles", ROOT / "monai_sr")
    files = sorted(f for d in folders for f in d.rglob("*") if f.suffix in WEIGHTS)
    return [
        {
            "type": "machine-learning-model",
            "bom-ref": file.relative_to(ROOT).as_posix(),
            "name": file.relative_to(ROOT).as_posix(),
            "hashes": [
                {"alg": "SHA-256", "content": hashlib.sha256(file.read_bytes()).hexdigest()}
            ],
        }
        for file in files
    ]


def text() -> str:
    """Return the file's content."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
