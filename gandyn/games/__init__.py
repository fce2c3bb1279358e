"""The games of the papers, by name; the files beside this one say what games are made of."""

from ._library import (
    Quadratic as Quadratic,
    bilinear as bilinear,
    dirac as dirac,
    linear as linear,
    linear_scale as linear_scale,
    quadratic as quadratic,
    segment as segment,
    uniform as uniform,
    uniform_affine as uniform_affine,
)
