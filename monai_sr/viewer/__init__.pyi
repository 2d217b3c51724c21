# What this package gives to others; each name is imported when it is first used.
from .making import existing as existing
from .making import made_by_model as made_by_model
from .server import ViewServer as ViewServer
from .view import View as View
