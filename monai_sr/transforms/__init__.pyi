# What this package gives to others; each name is imported when it is first used.
from .grid import PlanGrid as PlanGrid
from .grid import PlanGridd as PlanGridd
from .intensity import ScaleToUnit as ScaleToUnit
from .intensity import ScaleToUnitd as ScaleToUnitd
from .restore import Provenance as Provenance
from .restore import RestoreStoredd as RestoreStoredd
from .save import LoadImageSRd as LoadImageSRd
from .save import SaveImageSRd as SaveImageSRd
from .save import load_image as load_image
from .uncertainty import interval_factor as interval_factor
