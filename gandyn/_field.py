"""Fields on vectors, and how they are crossed where they are not smooth."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree, Scalar

from . import _tree
from ._system import AbstractFlow


class Hop(NamedTuple):
    """The way across a switch surface: the state behind it, and on both sides the velocity and how fast the switch goes."""

    which: Int[Array, ""]
    y: Float[Array, " n"]
    before: Float[Array, " n"]
    behind: Float[Array, " n"]
    rate: Scalar
    rate_behind: Scalar


class Flat(eqx.Module):
    """A flow on the vector of its state's coordinates."""

    flow: AbstractFlow
    unravel: Callable

    def __call__(self, y: Float[Array, " n"]) -> Float[Array, " n"]:
        """The velocity."""
        return _tree.ravel(self.flow(self.unravel(y)))[0].astype(y.dtype)

    def switches(self, y: Float[Array, " n"]) -> Float[Array, " k"]:
        """Those of the flow."""
        return self.flow.switches(self.unravel(y)).astype(y.dtype)

    @property
    def base(self) -> "Flat":
        """The field itself."""
        return self

    def point(self, y: Float[Array, " n"]) -> Float[Array, " n"]:
        """The state itself."""
        return y

    def land(self, y: Float[Array, " n"], hop: Hop) -> Float[Array, " n"]:
        """The state behind the surface."""
        return hop.y


class Tangent(eqx.Module):
    """A field together with its linearisation, in the state and, where `shift` is no `None`, in the field's own leaves."""

    field: Any
    shift: PyTree

    def _push(self, fn: Callable, z: Float[Array, " m"]) -> tuple[Array, Array]:
        y, dy = jnp.split(z, 2)
        return eqx.filter_jvp(fn, (self.field, y), (self.shift, dy))

    def __call__(self, z: Float[Array, " m"]) -> Float[Array, " m"]:
        """The velocities of a state and of a displacement."""
        return jnp.concatenate(self._push(lambda field, y: field(y), z))

    @property
    def base(self) -> Flat:
        """The field under all linearisations."""
        return self.field.base

    def point(self, z: Float[Array, " m"]) -> Float[Array, " n"]:
        """The state without displacements."""
        return self.field.point(jnp.split(z, 2)[0])

    def land(self, z: Float[Array, " m"], hop: Hop) -> Float[Array, " m"]:
        r"""The state behind the surface, and the displacement times the saltation matrix.

        It is :math:`I + (w - v)\nabla s^T/(\nabla s\cdot v)` for the velocities v before and w behind.
        """
        if isinstance(self.field, Tangent):
            raise ValueError("Second derivatives across a switch of the field are not computed; use a smooth field.")
        change = self._push(lambda field, y: field.switches(y)[hop.which], z)[1]
        return jnp.concatenate([hop.y, jnp.split(z, 2)[1] + (hop.behind - hop.before) * (change / hop.rate)])


class Sided(eqx.Module):
    """A field with one more coordinate, whose velocity is zero on the side of the switches where the step began."""

    field: Any
    sides: Bool[Array, " k"]

    def __call__(self, z: Float[Array, " m"]) -> Float[Array, " m"]:
        y = z[:-1]
        return jnp.concatenate([self.field(y), strayed(self.field, y, self.sides).astype(y.dtype)[None]])


def switches(field: Any, z: Float[Array, " m"]) -> Float[Array, " k"]:
    """The switches of a field that carries more than the point along, at its point."""
    return field.base.switches(field.point(z))


def strayed(field: Any, z: Float[Array, " m"], sides: Bool[Array, " k"]) -> Bool[Array, ""]:
    """Whether the point has left the given sides of the switches, by more than rounding."""
    values = switches(field, z)
    return jnp.any(jnp.where(sides, -values, values) > rounding(field.point(z)))


def rounding(y: Float[Array, " n"]) -> Scalar:
    """How far a point on a surface may be from it, by rounding."""
    return 100 * jnp.finfo(y.dtype).eps * (1 + jnp.linalg.norm(y))


class Ahead(NamedTuple):
    """The switch that the orbit heads for, the time to it at the present speed, and a time too short to be told from zero."""

    which: Int[Array, ""]
    time: Scalar
    short: Scalar
    velocity: Float[Array, " n"]
    value: Scalar
    rate: Scalar


def ahead_of(field: Any, z: Float[Array, " m"], sides: Bool[Array, " k"]) -> Ahead:
    """The switch that the orbit meets first if it goes on straight."""
    y = field.point(z)
    velocity = field.base(y)
    values, rates = jax.jvp(field.base.switches, (y,), (velocity,))
    towards = jnp.where(sides, rates < 0, rates > 0)
    times = jnp.where(towards, jnp.maximum(-values / jnp.where(towards, rates, 1.0), 0.0), jnp.inf)
    which = jnp.argmin(times)
    short = 10 * rounding(y) / (jnp.linalg.norm(velocity) + jnp.finfo(y.dtype).tiny)
    return Ahead(which, times[which], short, velocity, values[which], rates[which])


def hop(field: Any, z: Float[Array, " m"], ahead: Ahead) -> Hop:
    r"""Across a surface just ahead, in a time twice that to it: :math:`y + \tau v + (\ell - \tau) w`."""
    y, which, length = field.point(z), ahead.which, ahead.time + ahead.short
    there = y + length * ahead.velocity
    behind = field.base(there)
    rate_behind = jax.jvp(field.base.switches, (there,), (behind,))[1][which]
    time = -ahead.value / ahead.rate
    across = y + time * (ahead.velocity - behind) + length * behind
    # A field that is tangent behind the surface keeps to it, and is evaluated behind it from now on.
    stays = jnp.abs(rate_behind) <= 1e3 * jnp.finfo(y.dtype).eps * jnp.abs(ahead.rate)
    return Hop(which, jnp.where(stays, there, across), ahead.velocity, behind, ahead.rate, rate_behind)
