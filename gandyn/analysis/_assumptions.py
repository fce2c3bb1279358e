"""Do the theorems apply? The assumptions of three papers on GANs, each with its number, at an equilibrium of any game."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree, Scalar

from .._evolve import prepare
from .._results import RESULTS, check
from .._system import AbstractGame, Players
from ..games._gan import GAN, AbstractGAN
from ..games._penalty import Penalised
from ._premises import ABSENT, FAILS, HOLDS, UNDECIDED, Finding, blocks_at, of_blocks, of_laws, of_payoffs, point_of
from ._stability import stability
from ._verdict import Stability

NAGARAJAN_KOLTER = "Nagarajan and Kolter (2017)"
NIE_PATEL = "Nie and Patel (2019)"
MESCHEDER = "Mescheder, Geiger and Nowozin (2018)"

_LAWS = ("the generator produces the data's law", r"p_G = p_{\rm data}")
_ZERO = ("the discriminator vanishes on both supports", r"\max_x |D(x)| = 0")
_NEAR = ("the discriminator vanishes near the support", r"D = 0 \text{ around every } x \in {\rm supp}\,p_{\rm data}")
_CURVED = ("the payoffs are concave", r"g_1''(0) + g_2''(0) < 0")
_SLOPE = ("the payoffs balance, with a slope", r"g_1'(0) = -g_2'(0) \ne 0")
_TEXTS: dict[str, tuple[str, str, str]] = {
    "nk1_laws": (NAGARAJAN_KOLTER, *_LAWS),
    "nk1_zero": (NAGARAJAN_KOLTER, *_ZERO),
    "nk2": (NAGARAJAN_KOLTER, "V is strictly concave in D", r"\nabla_D^2 V \prec 0"),
    "nk2_relaxed": (NAGARAJAN_KOLTER, "or is flat along equilibria only", r"\ker\nabla_D^2 V = T_D"),
    "nk3": (NAGARAJAN_KOLTER, "|grad_D V|^2 is strictly convex in G", r"\nabla_G^2 \lVert\nabla_D V\rVert^2 \succ 0"),
    "nk3_relaxed": (NAGARAJAN_KOLTER, "or is flat along equilibria only", r"\ker\nabla_G^2 \lVert\nabla_D V\rVert^2 = T_G"),
    "nk_form": (NAGARAJAN_KOLTER, "the Jacobian is [[-Q, P], [-P^T, 0]]", r"K_{GG} = 0,\ K_{GD} = -K_{DG}^\top"),
    "nk_bound": (
        NAGARAJAN_KOLTER,
        "the abscissa lies below the lemma's bound",
        r"{\rm Re}\,\lambda \le \max\Bigl\{-\tfrac12\lambda_{\min}(Q), -\frac{\lambda_{\min}(Q)\,\lambda_{\min}(P^\top P)}"
        r"{\lambda_{\max}(Q)\,\lambda_{\min}(Q) + \lambda_{\min}(P^\top P)}\Bigr\}",
    ),
    "np1_laws": (NIE_PATEL, *_LAWS),
    "np1_zero": (NIE_PATEL, *_NEAR),
    "np2_curvature": (NIE_PATEL, *_CURVED),
    "np2_slope": (NIE_PATEL, *_SLOPE),
    "np_p": (NIE_PATEL, "P leaves no direction of the generator out", r"{\rm rank}\,P = \dim\phi"),
    "np_q": (NIE_PATEL, "Q is negative definite", r"Q \prec 0"),
    "mgn1_laws": (MESCHEDER, *_LAWS),
    "mgn1_zero": (MESCHEDER, *_NEAR),
    "mgn2_curvature": (MESCHEDER, *_CURVED),
    "mgn2_slope": (MESCHEDER, *_SLOPE),
    "mgn3_discriminator": (
        MESCHEDER,
        "h grows across the discriminators that vanish",
        r"\ker\nabla^2 h = T_D,\ h(\psi) = \mathbb E_{\rm data}[D_\psi^2 + \lVert\nabla_x D_\psi\rVert^2]",
    ),
    "mgn3_generator": (
        MESCHEDER,
        "the pull changes across the generators of the law",
        r"\ker\partial_\theta g = T_G,\ g(\theta) = \mathbb E_{p_\theta}\nabla_\psi D_\psi",
    ),
}
_OF_LAWS = {
    **{f"{paper}1_laws": "laws" for paper in ("nk", "np", "mgn")},
    "nk1_zero": "zero",
    "np1_zero": "near",
    "mgn1_zero": "near",
    "mgn3_discriminator": "discriminator",
    "mgn3_generator": "generator",
}
_OF_PAYOFFS = {f"{paper}2_{name}": name for paper in ("np", "mgn") for name in ("curvature", "slope")}
_CONCLUSIONS = ("nk2", "nk3", "nk_bound", "np_p", "np_q")  # nk2 and nk3 are contained in their relaxed versions.


class Assumption(eqx.Module):
    """One assumption: what is asked, the number that decides with its error, further numbers, the verdict and its reason."""

    key: str = eqx.field(static=True)
    theorem: str = eqx.field(static=True)
    asks: str = eqx.field(static=True)
    formula: str = eqx.field(static=True)
    value: Scalar
    error: Scalar
    numbers: dict[str, Scalar]
    verdict: str = eqx.field(static=True)
    reason: str = eqx.field(static=True, default="")

    def __str__(self) -> str:
        further = ", ".join(f"{name} {float(number):.4g}" for name, number in self.numbers.items())
        error = f"{float(self.error):.0e}" if self.error else "0"
        number = "" if np.isnan(self.value) else f"{float(self.value):.5g} ± {error}"
        shown = f"{number} ({further})" if further and number else number or further
        because = f": {self.reason}" if self.reason else ""
        return f"{self.key:<19}{self.asks:<51}{shown:<74} {self.verdict}{because}"


class Assumptions(eqx.Module):
    """The assumptions, one row each, at an equilibrium of the game without its penalties.

    `rows` is indexed by their keys: `found["nk2"]`. `stability` is that of the equilibrium, across the manifold of
    `dimension` dimensions on which it lies; `penalised` tells that the game had penalties, which the rows leave out.
    """

    rows: tuple[Assumption, ...]
    stability: Stability
    dimension: int = eqx.field(static=True)
    penalised: bool = eqx.field(static=True)
    result: RESULTS

    def __getitem__(self, key: str) -> Assumption:
        for row in self.rows:
            if row.key == key:
                return row
        raise KeyError(f"There is no assumption {key!r}; there are {[row.key for row in self.rows]}.")

    @property
    def verdicts(self) -> dict[str, str]:
        """For each paper whether what its theorem presupposes holds, in the relaxed version where it has one."""
        return {paper: _together([self[key] for key in keys]) for paper, keys in _PREMISES.items()}

    def __str__(self) -> str:
        lines = ["of the game without its penalties"] if self.penalised else []
        for paper, verdict in self.verdicts.items():
            lines += [f"{paper}: {verdict}", *(f"  {row}" for row in self.rows if row.theorem == paper)]
        return "\n".join(lines)


_PREMISES = {
    paper: [key for key, text in _TEXTS.items() if text[0] == paper and key not in _CONCLUSIONS]
    for paper in (NAGARAJAN_KOLTER, NIE_PATEL, MESCHEDER)
}


def _together(rows: list[Assumption]) -> str:
    verdicts = [row.verdict for row in rows]
    # Transversality is left open where another premise fails, which is no reason for the theorem not to be about the game.
    foreign = any(row.verdict == ABSENT and not row.key.startswith("mgn3") for row in rows)
    return ABSENT if foreign else next((verdict for verdict in (FAILS, UNDECIDED) if verdict in verdicts), HOLDS)


def _rows(findings: dict[str, Finding], like: Array) -> tuple[Assumption, ...]:
    """The findings with their texts, all numbers in the type of the state."""

    def number(value: float) -> Scalar:
        return jnp.asarray(value, like.dtype)

    def row(key: str, found: Finding) -> Assumption:
        numbers = {name: number(value) for name, value in found.numbers}
        return Assumption(key, *_TEXTS[key], number(found.value), number(found.error), numbers, found.verdict, found.reason)

    return tuple(row(key, findings[key]) for key in _TEXTS)


def _everywhere(finding: Finding, but: dict[str, Finding]) -> dict[str, Finding]:
    return {key: but.get(key, finding) for key in _TEXTS}


def _examine(base: AbstractGame, x: PyTree, found: Stability) -> tuple[dict[str, Finding], Stability, int]:
    """The findings by key, the stability across the equilibria, and their dimension."""
    if found.result != RESULTS.successful:
        stationary = found.result != RESULTS.not_stationary
        reason = "there are no finite derivatives here" if stationary else "the point is no equilibrium"
        return _everywhere(Finding(UNDECIDED, reason=reason), {}), found, 0
    if not isinstance(x, Players):
        return _everywhere(Finding(ABSENT, reason="no generator and discriminator"), {}), found, 0
    point = point_of(base, x)
    laws, cancelled = of_laws(point) if isinstance(base, AbstractGAN) else ({}, 0.0)
    at = blocks_at(point, found, cancelled)
    findings = of_blocks(at)
    findings |= {key: laws[name] for key, name in _OF_LAWS.items() if laws}
    if isinstance(base, GAN):
        payoffs = of_payoffs(base)
        findings |= {key: payoffs[name] for key, name in _OF_PAYOFFS.items()}
    absent = Finding(ABSENT, reason="the game has no payoffs of outputs" if laws else "the game is no GAN")
    return _everywhere(absent, findings), at.stability, at.tangent.shape[1]


def assumptions(game: AbstractGame, x: PyTree, *, throw: bool = True) -> Assumptions:
    r"""Whether the assumptions of the theorems on the local convergence of GANs hold at an equilibrium.

    Nagarajan and Kolter (2017): Assumptions 1 to 3, with a relaxed version of 2 and 3 that lets the two Hessians be singular
    along equilibria; the form of the Jacobian, which the proof derives from their objective and which is asked of any other;
    and the lemma's bound on the eigenvalues beside the true abscissa, both across the equilibria. Nie and Patel (2019):
    Assumptions 1 and 2, and P and Q of the Jacobian :math:`\begin{pmatrix} 0 & -P \\ P^\top & Q \end{pmatrix}` of Lemma 3.
    Mescheder, Geiger and Nowozin (2018), Theorem 4.1 on gradient penalties: Assumptions I to III, where III asks both players
    for transversality.

    Hessians are automatic derivatives and dense. :math:`p_G = p_{\rm data}` is decided by a Gaussian kernel's discrepancy
    (its width the median distance of points, its spectrum sampled at 128 frequencies), D = 0 at the points, and near them
    within a hundredth of their spread. Errors are rounding, the change to the far side of the equilibrium, and that under
    quadratures of another order; a number that they do not tell from zero counts as zero where they are small.

    Args:
        game: A game; the assumptions are on the game under all its penalties. Of a game that is no GAN only what concerns
            its Jacobian is examined, of one whose state is no `Players` nothing.
        x: An equilibrium of the game under its penalties.
        throw: Raise if `x` is none.

    Returns:
        An `Assumptions`, whose `verdicts` tell for each paper whether its theorem applies; printed as a table.

    Raises:
        ValueError: No game, or a state of the wrong structure or not finite.
        RuntimeError: The point is no equilibrium, or the field has no derivatives there (with `throw`; otherwise every
            verdict reads `undecided`).
    """
    if not isinstance(game, AbstractGame):
        raise ValueError(
            f"assumptions: the theorems are on games; got {type(game).__name__}. Pass the game that the flow or map is made of."
        )
    system, x = prepare(game, x)
    base = system.base if isinstance(system, Penalised) else system
    penalised = base is not system
    found = stability(base, x, throw=False)
    check(found.result, throw, "assumptions, of the game without its penalties: " if penalised else "assumptions: ")
    findings, found, dimension = _examine(base, x, found)
    return Assumptions(_rows(findings, found.bound), found, dimension, penalised, found.result)
