"""gandyn: GAN training as a dynamical system.

Every name is loaded on first use, so that the command line starts at once; `__init__.pyi` says where each one lives.
"""

from importlib.metadata import version as _version

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

__version__ = _version("gandyn")
