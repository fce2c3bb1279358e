"""The games of the papers, by name; the files beside this one say what games are made of."""

from ._library import (
    Quadratic as Quadratic,
)
from ._library import (
    bilinear as bilinear,
)
from ._library import (
    dirac as dirac,
)
from ._library import (
    linear as linear,
)
from ._library import (
    linear_scale as linear_scale,
)
from ._library import (
    quadratic as quadratic,
)
from ._library import (
    segment as segment,
)
from ._library import (
    uniform as uniform,
)
from ._library import (
    uniform_affine as uniform_affine,
)
