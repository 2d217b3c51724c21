"""Type aliases used across the package."""

import os
from typing import TypeAlias

PathLike: TypeAlias = str | os.PathLike[str]
