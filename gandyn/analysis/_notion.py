"""What there is to say of a point as an equilibrium: Nash, Stackelberg, proximal."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Scalar

from .._results import RESULTS, message
from ._schur import Blocks, Schur, curvature, schur
from ._second_order import FAILED, NO, STRICT, UNDECIDED, VERDICTS, WEAK, Condition, both, judge


def within(blocks: Blocks, lam: float) -> tuple[Schur, int]:
    """The generator's condition where the discriminator answers within a cone: between those with less and more freedom."""
    less, more = schur(blocks.held(), lam), schur(blocks.free(), lam)
    codes = [judge(s.form, s.error, np.asarray(blocks.cone_a) @ s.span, bool(blocks.sure)) for s in (less, more)]
    pulled = max(less.slope, more.slope, float(np.linalg.norm(blocks.push))) > blocks.slack
    plain = less.concave and not pulled and blocks.zero_sum and not less.null.shape[1]
    if plain and codes[0] == STRICT:
        return less, STRICT
    return less, NO if plain and more.concave and not more.null.shape[1] and codes[1] == NO else UNDECIDED


class Notion(eqx.Module):
    """A notion of equilibrium: a condition on the generator and one on the discriminator, each with its eigenvalues."""

    generator: Condition
    discriminator: Condition

    @property
    def code(self) -> int:
        """The verdict as a number (0 strict, 1 weak, 2 no, 3 undecided, 4 failed)."""
        return both(int(self.generator.code), int(self.discriminator.code))

    @property
    def verdict(self) -> str:
        """`strict`, `weak` (it holds, not strictly), `no`, `undecided`, or `failed`."""
        return VERDICTS[self.code]

    def __str__(self) -> str:
        return f"{self.verdict}: generator {self.generator}, discriminator {self.discriminator}"


class Notions(eqx.Module):
    r"""Which equilibrium a stationary point is, by second-order conditions.

    `nash` and `stackelberg` each hold a condition on the `.generator` and one on the `.discriminator`, and a `.verdict`:
    *strict*, *weak* (it holds, not strictly), *no*, *undecided*. `proximal` is the largest :math:`\lambda` up to which the
    point is a proximal equilibrium, infinite if it is for every one, NaN if it is for none or if that is not decided, and
    `proximal_result` then says which; `proximal_error` bounds its error. `blocks` holds the second derivatives, or None where
    they were not formed: then `prices`, `curvatures` and `errors` hold the least curvature of what the generator faces at
    some :math:`\lambda`. `still` says that along flat directions of the generator the best discriminator stays where it is.
    """

    nash: Notion
    stackelberg: Notion
    proximal: Scalar
    proximal_error: Scalar
    proximal_result: RESULTS
    residual: Scalar
    result: RESULTS
    blocks: Blocks | None = None
    still: Bool[Array, ""] | bool = False
    prices: Float[Array, " k"] | None = None
    curvatures: Float[Array, " k"] | None = None
    errors: Float[Array, " k"] | None = None

    def proximal_at(self, lam: float | Scalar) -> str:
        r"""Whether the point is a :math:`\lambda`-proximal equilibrium.

        Args:
            lam: The price, not negative; zero asks for Stackelberg, infinity for Nash.

        Returns:
            `strict`, `weak`, `no`, `undecided`, or `failed`.

        Raises:
            ValueError: A negative price.
        """
        lam = float(lam)
        if not lam >= 0:
            raise ValueError(f"proximal_at: lam must not be negative; got {lam}.")
        if lam in (0.0, np.inf) or self.result != RESULTS.successful:
            return (self.nash if lam else self.stackelberg).verdict
        return VERDICTS[both(self._generator(lam), int(self.nash.discriminator.code))]

    def _generator(self, lam: float) -> int:
        """The condition on the generator at a price."""
        blocks = self.blocks
        if blocks is None:
            return self._between(lam)
        found = schur(blocks, lam)
        if len(blocks.cone_b) or not found.concave or (found.null.shape[1] and found.coupled):
            return within(blocks, lam)[1]
        if found.slope > blocks.slack or float(np.linalg.norm(blocks.push)) > blocks.slack:
            return NO if found.slope > blocks.slack and not len(blocks.cone_a) else UNDECIDED
        code = judge(found.form, found.error, np.asarray(blocks.cone_a) @ found.span, bool(blocks.sure))
        if code is not None:
            return code
        if blocks.zero_sum and int(self.nash.generator.code) in (STRICT, WEAK):
            return WEAK
        flat = np.sum(np.abs(self.stackelberg.generator.eigenvalues) <= self.stackelberg.generator.error)
        same = np.sum(np.abs(np.linalg.eigvalsh(found.form)) <= found.error) == flat
        return WEAK if self.still and same and int(self.stackelberg.generator.code) == WEAK else UNDECIDED

    def _between(self, lam: float) -> int:
        """What follows from the prices that were looked at, because the condition weakens as the price falls."""
        prices, least, errors = (np.asarray(v) for v in (self.prices, self.curvatures, self.errors))
        if np.any((prices >= lam) & (least > errors)):
            return STRICT
        return NO if np.any((prices <= lam) & (least < -errors)) else UNDECIDED

    def curvature(self, lams: Float[Array, " k"] | np.ndarray) -> np.ndarray:
        r"""The least curvature of what the generator faces, at each of several :math:`\lambda`.

        Args:
            lams: The prices, positive.

        Returns:
            One number each.

        Raises:
            ValueError: The second derivatives were not formed.
        """
        if (blocks := self.blocks) is None:
            raise ValueError("curvature: the second derivatives were not formed; take spectrum=gd.Dense().")
        return np.array([curvature(blocks, float(lam))[0] for lam in np.asarray(lams)])

    def __str__(self) -> str:
        if self.result != RESULTS.successful:
            return f"failed       {message(self.result)}\nresidual     {float(self.residual):.2g}"
        lam, error = float(self.proximal), float(self.proximal_error)
        reach = f"lambda <= {lam:.10g}  (error {error:.1g})" if np.isfinite(lam) else "for every lambda"
        return (
            f"nash         {self.nash}\n"
            f"stackelberg  {self.stackelberg}\n"
            f"proximal     {message(self.proximal_result) if np.isnan(lam) else reach}\n"
            f"residual     {float(self.residual):.2g}"
        )


def failed(result: RESULTS, residual: float) -> Notions:
    """What is said of a point of which nothing is known but why."""
    nothing = Condition(jnp.zeros((0,)), jnp.asarray(jnp.nan), jnp.asarray(FAILED))
    none, nan = Notion(nothing, nothing), jnp.asarray(jnp.nan)
    return Notions(none, none, nan, nan, result, jnp.asarray(residual), result)
