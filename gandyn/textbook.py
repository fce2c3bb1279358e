"""Textbook flows with known cycles, on which the toolbox is checked."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from . import _tree
from ._system import AbstractFlow


class VanDerPol(AbstractFlow):
    r"""The van der Pol oscillator :math:`\ddot x = \mu(1 - x^2)\dot x - x`, on :math:`(x, \dot x)`.

    Args:
        mu: The strength :math:`\mu` of the nonlinear damping; the limit cycle is attracting for a positive one.
    """

    mu: Scalar = eqx.field(converter=_tree.real)

    def __call__(self, x: Float[Array, "2"]) -> Float[Array, "2"]:
        """The velocity."""
        return jnp.stack([x[1], self.mu * (1 - x[0] ** 2) * x[1] - x[0]]).astype(x.dtype)


class StuartLandau(AbstractFlow):
    r"""The normal form of the Hopf bifurcation, :math:`\dot z = (a + i\omega) z - (c + ib)|z|^2 z`, on the parts of z.

    Its cycle :math:`|z| = \sqrt{a/c}` has the period :math:`2\pi/|\omega - ba/c|` and the multiplier :math:`e^{-2aT}`.

    Args:
        growth: The growth rate a.
        frequency: The frequency :math:`\omega` at zero amplitude.
        shear: How the frequency falls with the square of the amplitude, b.
        damping: The nonlinear damping c; positive where the bifurcation is supercritical.
    """

    growth: Scalar = eqx.field(converter=_tree.real)
    frequency: Scalar = eqx.field(converter=_tree.real, default=1.0)
    shear: Scalar = eqx.field(converter=_tree.real, default=0.0)
    damping: Scalar = eqx.field(converter=_tree.real, default=1.0)

    def __call__(self, x: Float[Array, "2"]) -> Float[Array, "2"]:
        """The velocity."""
        square = x[0] ** 2 + x[1] ** 2
        rate, speed = self.growth - self.damping * square, self.frequency - self.shear * square
        return jnp.stack([rate * x[0] - speed * x[1], speed * x[0] + rate * x[1]]).astype(x.dtype)


class Brusselator(AbstractFlow):
    r"""The Brusselator :math:`\dot x = a - (b + 1)x + x^2 y,\ \dot y = bx - x^2 y` (Prigogine and Lefever, 1968).

    Its equilibrium :math:`(a, b/a)` is surrounded by an attracting limit cycle for :math:`b > 1 + a^2`.

    Args:
        a: The feed a, positive.
        b: The feed b.
    """

    a: Scalar = eqx.field(converter=_tree.real, default=1.0)
    b: Scalar = eqx.field(converter=_tree.real, default=3.0)

    def __call__(self, x: Float[Array, "2"]) -> Float[Array, "2"]:
        """The velocity."""
        reaction = x[0] ** 2 * x[1]
        return jnp.stack([self.a - (self.b + 1) * x[0] + reaction, self.b * x[0] - reaction]).astype(x.dtype)


class Lorenz(AbstractFlow):
    r"""The Lorenz system :math:`\dot x = \sigma(y - x),\ \dot y = x(\rho - z) - y,\ \dot z = xy - \beta z` (Lorenz, 1963).

    Args:
        sigma: The Prandtl number :math:`\sigma`.
        rho: The Rayleigh number :math:`\rho`, relative to the onset of convection.
        beta: The geometric factor :math:`\beta`.
    """

    sigma: Scalar = eqx.field(converter=_tree.real, default=10.0)
    rho: Scalar = eqx.field(converter=_tree.real, default=28.0)
    beta: Scalar = eqx.field(converter=_tree.real, default=8 / 3)

    def __call__(self, x: Float[Array, "3"]) -> Float[Array, "3"]:
        """The velocity."""
        across = x[0] * (self.rho - x[2]) - x[1]
        return jnp.stack([self.sigma * (x[1] - x[0]), across, x[0] * x[1] - self.beta * x[2]]).astype(x.dtype)


class Rossler(AbstractFlow):
    r"""The Rössler system :math:`\dot x = -y - z,\ \dot y = x + ay,\ \dot z = b + z(x - c)` (Rössler, 1976).

    Args:
        a: The growth a of the spiral in the plane.
        b: The feed b of the excursion out of it.
        c: The height c at which the excursion sets in.
    """

    a: Scalar = eqx.field(converter=_tree.real, default=0.2)
    b: Scalar = eqx.field(converter=_tree.real, default=0.2)
    c: Scalar = eqx.field(converter=_tree.real, default=5.7)

    def __call__(self, x: Float[Array, "3"]) -> Float[Array, "3"]:
        """The velocity."""
        return jnp.stack([-x[1] - x[2], x[0] + self.a * x[1], self.b + x[2] * (x[0] - self.c)]).astype(x.dtype)
