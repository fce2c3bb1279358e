"""Training algorithms on the bilinear game V = c x y: every multiplier is a function of u = h c."""

from typing import Any

import numpy as np

import gandyn as gd

from ._claim import Claim, Source

KORPELEVICH = Source("Korpelevich (1976)", "G. M. Korpelevich. The extragradient method for finding saddle points. 1976.")
DASKALAKIS = Source(
    "Daskalakis et al. (2018)", "C. Daskalakis, A. Ilyas, V. Syrgkanis and H. Zeng. Training GANs with optimism. ICLR 2018."
)
SCHAEFER = Source("Schäfer and Anandkumar (2019)", "F. Schäfer and A. Anandkumar. Competitive gradient descent. NeurIPS 2019.")
BALDUZZI = Source("Balduzzi et al. (2018)", "D. Balduzzi et al. The mechanics of n-player differentiable games. ICML 2018.")
CHAVDAROVA = Source("Chavdarova et al. (2021)", "T. Chavdarova et al. Taming GANs with lookahead-minmax. ICLR 2021.")
QIN = Source(
    "Qin et al. (2020)",
    "C. Qin et al. Training generative adversarial networks by solving ordinary differential equations. NeurIPS 2020.",
)
GIDEL = Source("Gidel et al. (2019)", "G. Gidel et al. Negative momentum for improved game dynamics. AISTATS 2019.")

KUTTA3 = gd.Tableau(((0.5,), (-1.0, 2.0)), (1 / 6, 2 / 3, 1 / 6))
ORIGIN = gd.Players(0.0, 0.0)
ALTERNATING = ("generator", "discriminator")


def found(step: gd.AbstractMap) -> gd.Stability:
    """The stability of a map at rest in the origin."""
    return gd.stability(step, step.init(ORIGIN))


def game(c: float) -> gd.AbstractGame:
    """The bilinear game."""
    return gd.games.bilinear(c)


def verdict(stable: bool) -> str:
    """The verdict in words."""
    return "stable" if stable else "unstable"


def pair(value: complex) -> np.ndarray:
    """A number and its conjugate."""
    return np.array([value, np.conj(value)])


def steps(*sizes: float) -> tuple[dict[str, float], ...]:
    """Settings with c = 1."""
    return tuple({"h": h, "c": 1.0} for h in sizes)


def draw(rng: np.random.Generator) -> dict[str, Any]:
    """A step and a coupling with u between 0.05 and 0.45, short of every double multiplier."""
    c = float(rng.uniform(0.5, 2.0))
    return {"h": float(rng.uniform(0.05, 0.45)) / c, "c": c}


def _extragradient(h: float, c: float) -> dict[str, Any]:
    u = h * c
    return {
        "eigenvalues": pair(1 - u**2 + 1j * u),
        "rate": np.sqrt(1 - u**2 + u**4),
        "verdict": verdict(u < 1),
        "best": 0.75**0.5,
    }


def _extragradient_computed(h: float, c: float) -> dict[str, Any]:
    s, best = found(gd.ExtraGradient(game(c), h)), found(gd.ExtraGradient(game(c), 1 / (2**0.5 * c)))
    return {"eigenvalues": s.eigenvalues, "rate": s.rate, "verdict": s.verdict, "best": best.rate}


BM01 = Claim(
    "BM01",
    KORPELEVICH,
    "Extragradient converges on the bilinear game for $u < 1$, fastest at $u = 1/\\sqrt2$",
    r"\mu = 1 - u^2 \pm iu, \quad |\mu|^2 = 1 - u^2 + u^4",
    _extragradient,
    _extragradient_computed,
    steps(0.3, 0.9, 1.2),
    draw,
    published=({"rate": 0.958175349297}, {"rate": 0.919836942072}),
)


def _optimistic(h: float, c: float) -> dict[str, Any]:
    u = h * c
    root = np.sqrt(complex(1 - 4 * u**2))
    values = np.concatenate([pair((1 + 2j * u + sign * root) / 2) for sign in (1, -1)])
    return {"eigenvalues": values, "verdict": verdict(u < 3**-0.5)}


def _optimistic_computed(h: float, c: float) -> dict[str, Any]:
    s = found(gd.Optimistic(game(c), h))
    return {"eigenvalues": s.eigenvalues, "verdict": s.verdict}


BM02 = Claim(
    "BM02",
    DASKALAKIS,
    "The optimistic gradient converges on the bilinear game for $u < 1/\\sqrt3$",
    r"\mu = \tfrac12\left(1 + 2iu \pm \sqrt{1 - 4u^2}\right) \text{ and conjugates}",
    _optimistic,
    _optimistic_computed,
    steps(0.3, 0.9),
    draw,
)


def _optimistic_limit_computed(c: float) -> dict[str, Any]:
    step = gd.Optimistic(game(c), 0.1)
    return {"critical u": gd.critical_step(step, step.init(ORIGIN), (0.05 / c, 2 / c)).value * c}


BM08 = Claim(
    "BM08",
    DASKALAKIS,
    "The critical step of the optimistic gradient on the bilinear game",
    r"u_c = 1/\sqrt3",
    lambda c: {"critical u": 3**-0.5},
    _optimistic_limit_computed,
    ({"c": 1.0},),
    lambda rng: {"c": float(rng.uniform(0.5, 2.0))},
)


def _implicit(h: float, c: float) -> dict[str, Any]:
    values = pair(1 / (1 - 1j * h * c))
    return {"competitive": values, "implicit Euler": values, "rate": (1 + (h * c) ** 2) ** -0.5}


def _implicit_computed(h: float, c: float) -> dict[str, Any]:
    competitive, implicit = found(gd.Competitive(game(c), h)), found(gd.ProximalPoint(game(c), h))
    return {"competitive": competitive.eigenvalues, "implicit Euler": implicit.eigenvalues, "rate": competitive.rate}


BM03 = Claim(
    "BM03",
    SCHAEFER,
    "On the bilinear game competitive gradient descent is the implicit Euler step, stable for every step size",
    r"\mu = \frac1{1 \mp iu}, \quad |\mu| = \frac1{\sqrt{1 + u^2}}",
    _implicit,
    _implicit_computed,
    steps(0.3, 0.9),
    draw,
    published=({"rate": 0.957826285221}, {"rate": 0.743294146247}),
)


def _adjusted(h: float, c: float, g: float = 0.5) -> dict[str, Any]:
    values = pair(1 - g * h * c**2 + 1j * h * c)
    return {"consensus": values, "symplectic": values, "critical step": 2 * g / (1 + g**2 * c**2)}


def _adjusted_computed(h: float, c: float, g: float = 0.5) -> dict[str, Any]:
    consensus = gd.SimGD(gd.consensus(game(c), g), h)
    symplectic = gd.SimGD(gd.SymplecticAdjustment(game(c), g), h)
    return {
        "consensus": found(consensus).eigenvalues,
        "symplectic": found(symplectic).eigenvalues,
        "critical step": gd.critical_step(consensus, ORIGIN).value,
    }


BM04 = Claim(
    "BM04",
    BALDUZZI,
    "Consensus and symplectic adjustment agree on the bilinear game",
    r"\mu = 1 - \gamma h c^2 \pm iu, \quad h_c = \frac{2\gamma}{1 + \gamma^2 c^2}",
    _adjusted,
    _adjusted_computed,
    steps(0.3, 0.9),
    lambda rng: {**draw(rng), "g": float(rng.uniform(0.1, 1.0))},
)


def _lookahead(h: float, c: float, k: int = 5, alpha: float = 0.5) -> dict[str, Any]:
    return {"eigenvalues": pair(1 - alpha + alpha * (1 + 1j * h * c) ** k)}


def _lookahead_computed(h: float, c: float, k: int = 5, alpha: float = 0.5) -> dict[str, Any]:
    return {"eigenvalues": found(gd.Lookahead(gd.SimGD(game(c), h), k, alpha)).eigenvalues}


BM05 = Claim(
    "BM05",
    CHAVDAROVA,
    "Lookahead turns the diverging descent on the bilinear game round",
    r"\mu = 1 - \alpha + \alpha(1 \pm iu)^k",
    _lookahead,
    _lookahead_computed,
    steps(0.3, 0.9),
    lambda rng: {**draw(rng), "k": int(rng.integers(2, 6)), "alpha": float(rng.uniform(0.2, 0.8))},
)


def _runge_kutta(h: float, c: float) -> dict[str, Any]:
    u = h * c
    squares = {
        "Euler": 1 + u**2,
        "Heun": 1 + u**4 / 4,
        "RK3": 1 - u**4 / 12 + u**6 / 36,
        "RK4": 1 - u**6 / 72 + u**8 / 576,
        "implicit Euler": 1 / (1 + u**2),
        "implicit midpoint": 1.0,
    }
    return {name: np.sqrt(square) for name, square in squares.items()}


def _runge_kutta_computed(h: float, c: float) -> dict[str, Any]:
    explicit = {"Euler": gd.EULER, "Heun": gd.HEUN, "RK3": KUTTA3, "RK4": gd.RK4}
    rates = {name: found(gd.RungeKutta(game(c), h, tableau)).rate for name, tableau in explicit.items()}
    implicit = {"implicit Euler": gd.Implicit(game(c), h), "implicit midpoint": gd.Implicit(game(c), h, 0.5)}
    return rates | {name: found(step).rate for name, step in implicit.items()}


BM06 = Claim(
    "BM06",
    QIN,
    "Runge-Kutta methods on a rotation: the higher the order, the smaller the growth",
    r"|R(iu)|^2:\ 1 + u^2;\ 1 + \tfrac{u^4}4;\ 1 - \tfrac{u^4}{12} + \tfrac{u^6}{36};\ 1 - \tfrac{u^6}{72} + \tfrac{u^8}{576};"
    r"\ \tfrac1{1 + u^2};\ 1",
    _runge_kutta,
    _runge_kutta_computed,
    steps(0.3, 0.9),
    draw,
    published=(
        {"RK4": 0.999994994441, "Heun": 1.00101198794, "RK3": 0.999672571395},
        {"RK4": 0.996677587742, "Heun": 1.07889990268, "RK3": 0.979840420681},
    ),
)


def _momentum(h: float, c: float, beta: float) -> dict[str, Any]:
    square = np.polymul(*2 * ([1, -(1 + beta), beta],))
    alternating, simultaneous = (np.polyadd(square, (h * c) ** 2 * np.eye(4)[i]) for i in (0, 1))
    return {"alternating": np.roots(alternating).astype(complex), "simultaneous": np.roots(simultaneous).astype(complex)}


def _momentum_computed(h: float, c: float, beta: float) -> dict[str, Any]:
    alternating = found(gd.Momentum(game(c), h, beta, order=ALTERNATING))
    return {"alternating": alternating.eigenvalues, "simultaneous": found(gd.Momentum(game(c), h, beta)).eigenvalues}


BM07 = Claim(
    "BM07",
    GIDEL,
    "Negative momentum converges on the bilinear game where the players alternate, never where they move at once",
    r"\bigl((\mu-1)(\mu-\beta)\bigr)^2 + u^2\mu^3 = 0; \qquad \bigl((\mu-1)(\mu-\beta)\bigr)^2 + u^2\mu^2 = 0",
    _momentum,
    _momentum_computed,
    tuple({"h": h, "c": 1.0, "beta": beta} for h in (0.3, 0.9) for beta in (-0.5, -0.25, 0.3)),
    lambda rng: {**draw(rng), "beta": float(rng.uniform(-0.6, -0.2))},
)


def _mapped(h: float, gamma: float) -> dict[str, Any]:
    z = h * (-gamma / 2 + np.array([1, -1]) * np.sqrt(complex(gamma**2 / 4 - 0.25)))
    optimistic = np.concatenate([np.roots([1, -(1 + 2 * value), value]) for value in z])
    return {
        "Euler": 1 + z,
        "extragradient": 1 + z + z**2,
        "implicit Euler": 1 / (1 - z),
        "implicit midpoint": (1 + z / 2) / (1 - z / 2),
        "RK4": 1 + z + z**2 / 2 + z**3 / 6 + z**4 / 24,
        "optimistic": optimistic,
    }


def _mapped_computed(h: float, gamma: float) -> dict[str, Any]:
    flow = gd.Penalised(gd.games.dirac(), gd.r1, gamma)
    maps = {
        "Euler": gd.SimGD(flow, h),
        "extragradient": gd.ExtraGradient(flow, h),
        "implicit Euler": gd.Implicit(flow, h),
        "implicit midpoint": gd.Implicit(flow, h, 0.5),
        "RK4": gd.RungeKutta(flow, h),
        "optimistic": gd.Optimistic(flow, h),
    }
    return {name: np.linalg.eigvals(np.asarray(gd.linearize(m, m.init(ORIGIN)).as_matrix())) for name, m in maps.items()}


BM19 = Claim(
    "BM19",
    QIN,
    "Every step of these kinds maps the eigenvalues of the flow one by one",
    r"z = h\lambda:\ 1 + z;\ 1 + z + z^2;\ \tfrac1{1-z};\ \tfrac{1 + z/2}{1 - z/2};\ \textstyle\sum_{k \le 4} z^k/k!;\ "
    r"\mu^2 - (1 + 2z)\mu + z = 0",
    _mapped,
    _mapped_computed,
    ({"h": 0.8, "gamma": 0.3},),
    lambda rng: {"h": float(rng.uniform(0.1, 0.8)), "gamma": float(rng.uniform(0.1, 0.8))},
)

CLAIMS = (BM01, BM02, BM03, BM04, BM05, BM06, BM07, BM08, BM19)
