"""A missing optional package is named together with the line that installs it."""

from __future__ import annotations

import json

import pytest

from monai_sr.core.errors import MissingDependencyError
from monai_sr.core.optional import import_extra


def test_an_installed_package_is_returned():
    assert import_extra("json", extra="export") is json


def test_a_missing_package_is_answered_with_the_line_that_installs_it():
    with pytest.raises(MissingDependencyError, match=r"pip install 'monai-sr\[export\]'"):
        import_extra("monai_sr_no_such_package", extra="export")
