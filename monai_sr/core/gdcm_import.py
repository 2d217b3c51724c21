"""Import gdcm where a folder of the user's has the name of a module that it looks for.

gdcm asks for ``dl``, a module of Python 2, and takes whatever has the name: with a folder ``dl``
where ``python -m`` is called, its import fails, then that of pydicom, which imports it, and then
all that reads DICOM. Importing this module, before pydicom, mends both.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys

_ASKED = ("dl", "DLFCN")


def _import_gdcm() -> None:
    """Import gdcm without what it takes for modules of its own, which keep their names."""
    if all(importlib.util.find_spec(name) is None for name in _ASKED) or "gdcm" in sys.modules:
        return
    if "pydicom" not in sys.modules:  # parts are left of an import that failed
        for name in [name for name in sys.modules if name.startswith("pydicom.")]:
            del sys.modules[name]
    kept = {name: sys.modules[name] for name in _ASKED if name in sys.modules}
    # None in this place makes an import fail as if the module were not there.
    sys.modules.update(dict.fromkeys(_ASKED))  # type: ignore[arg-type]
    try:
        with contextlib.suppress(ImportError):  # without gdcm there is nothing to mend
            importlib.import_module("gdcm")
    finally:
        for name in _ASKED:
            del sys.modules[name]
        sys.modules.update(kept)


_import_gdcm()
