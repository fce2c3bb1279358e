"""The games of the papers, by name; the files beside this one say what games are made of."""

from ._gaussian import (
    lipschitz_gaussian as lipschitz_gaussian,
)
from ._gaussian import (
    unit_generator as unit_generator,
)
from ._gaussian import (
    vanilla_gaussian as vanilla_gaussian,
)
from ._gaussian import (
    w2_gaussian as w2_gaussian,
)
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
