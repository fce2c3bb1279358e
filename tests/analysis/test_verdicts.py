"""Verdicts against exact arithmetic: a matrix of floats has a spectrum, and integers alone say on which side it lies."""

import functools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import gandyn as gd
from gandyn.analysis._verdict import STABLE, UNSTABLE

SIZES = (2, 3, 5, 8, 12)
KINDS = ("normal", "graded", "turned", "jordan", "jordan turned", "grcar", "kahan", "scaled", "companion", "rotation")
EACH = 4
FINE = 300


class Flow(gd.AbstractFlow):
    a: jax.Array

    def __call__(self, x):
        return self.a @ x


class Map(gd.AbstractMap):
    a: jax.Array

    def __call__(self, x):
        return self.a @ x


@eqx.filter_jit
def verdicts(make, stack):
    def one(a):
        found = gd.stability(make(a), jnp.zeros(a.shape[0], a.dtype))
        return found.code, found.growth, found.bound

    return jax.vmap(one)(stack)


def base(kind, n, rng):
    def turn(a):
        q = np.linalg.qr(rng.normal(size=(n, n)))[0]
        return q @ a @ q.T

    def graded():
        upper = np.triu(rng.normal(size=(n, n)) * 10 ** rng.uniform(0, 3), 1)
        return upper - np.diag(np.abs(rng.normal(size=n)) * 10.0 ** rng.uniform(-6, 0, size=n))

    def companion():
        a = np.diag(np.ones(n - 1), -1)
        a[0] = -np.poly(np.full(n, -1.0))[1:]
        return a

    def kahan():
        s, c = np.sin(1.2), np.cos(1.2)
        return -np.diag(s ** np.arange(n)) @ (np.eye(n) - c * np.triu(np.ones((n, n)), 1))

    def scaled():
        d = 10.0 ** rng.uniform(-6, 6, size=n)
        return d[:, None] * rng.normal(size=(n, n)) / d

    def rotation():
        a = rng.normal(size=(n, n))
        return a - a.T

    shift = np.diag(np.ones(n - 1), 1) * 10 ** rng.uniform(-1, 2)
    grcar = np.triu(np.ones((n, n))) - np.triu(np.ones((n, n)), 4) - np.diag(np.ones(n - 1), -1)
    made = {
        "normal": lambda: rng.normal(size=(n, n)),
        "graded": graded,
        "turned": lambda: turn(graded()),
        "jordan": lambda: shift,
        "jordan turned": lambda: turn(shift),
        "grcar": lambda: grcar,
        "kahan": lambda: turn(kahan()),
        "scaled": scaled,
        "companion": companion,
        "rotation": rotation,
    }
    return made[kind]()


@functools.cache
def cases(n, discrete, dtype):
    """Matrices whose leading eigenvalue lies, as LAPACK has it, a hair on either side of the boundary."""
    rng = np.random.default_rng([n, discrete, np.dtype(dtype).itemsize])
    smallest = -15 if dtype == np.float64 else -7
    stack = []
    for kind in KINDS:
        for _ in range(EACH):
            a = base(kind, n, rng)
            hair = 10 ** rng.uniform(smallest, -1) * rng.choice([-1, 1])
            values = np.linalg.eigvals(a)
            if not discrete:
                stack.append(a + (hair - values.real.max()) * np.eye(n))
            elif np.abs(values).max() > 1e-8:
                stack.append(a / np.abs(values).max() * (1 + hair))
            else:
                stack.append(a + (1 + hair) * np.eye(n))
    return np.stack(stack).astype(dtype)


def integers(a):
    """The matrix times a power of two, in integers, and the exponent of that power."""
    mantissa, exponent = np.frexp(np.asarray(a, float))
    low = int(exponent[mantissa != 0].min()) - 53
    rows = zip(mantissa, exponent, strict=True)
    whole = [[int(m * 2**53) << int(e - 53 - low) if m else 0 for m, e in zip(*row, strict=True)] for row in rows]
    return np.array(whole, dtype=object), low


def characteristic(m):
    """The characteristic polynomial of an integer matrix, highest power first (Faddeev and LeVerrier)."""
    n = len(m)
    eye = np.array([[int(i == j) for j in range(n)] for i in range(n)], dtype=object)
    coefficients, b = [1], eye
    for k in range(1, n + 1):
        product = m.dot(b)
        coefficients.append(-sum(product[i, i] for i in range(n)) // k)
        b = product + coefficients[-1] * eye
    return coefficients


def hurwitz(polynomial):
    """Whether every root of an integer polynomial has a negative real part (Routh's scheme)."""
    sign = 1 if polynomial[0] > 0 else -1
    if any(sign * c <= 0 for c in polynomial):
        return False
    above, below = [sign * c for c in polynomial[0::2]], [sign * c for c in polynomial[1::2]]
    while below:
        if below[0] <= 0:
            return False
        padded = [*below[1:], 0]
        row = [below[0] * above[i + 1] - above[0] * padded[i] for i in range(len(above) - 1)]
        common = math.gcd(*row) or 1
        above, below = below, [c // common for c in row]
    return True


def flow_sides(a):
    """Whether all real parts are negative, and whether one is positive."""
    m, _ = integers(a)
    finer = m * 2**FINE
    finer[np.diag_indices(len(m))] -= 1
    return hurwitz(characteristic(m)), not hurwitz(characteristic(finer))


def moebius(polynomial):
    """The polynomial in s whose roots are those of a polynomial in w = (1 + s)/(1 - s)."""
    n = len(polynomial) - 1
    total = [0] * (n + 1)
    for j, c in enumerate(polynomial):
        for u in range(n - j + 1):
            for v in range(j + 1):
                total[u + v] += c * math.comb(n - j, u) * math.comb(j, v) * (-1) ** v
    return total[::-1]


def map_sides(a):
    """Whether all multipliers lie inside the unit circle, and whether one lies outside."""
    m, low = integers(a)
    polynomial, n = characteristic(m), len(m)

    def within(numerator, bits):
        powers = [bits * j + max(low, 0) * j - min(low, 0) * (n - j) for j in range(n + 1)]
        scaled = [c * numerator ** (n - j) << powers[j] for j, c in enumerate(polynomial)]
        turned = moebius(scaled)
        return turned[0] != 0 and hurwitz(turned)

    return within(1, 0), not within(2**FINE + 1, FINE)


@functools.cache
def truths(n, discrete, dtype):
    return [(map_sides if discrete else flow_sides)(a) for a in cases(n, discrete, dtype)]


def test_the_exact_sides_agree_with_sixty_digits():
    wrong = 0
    for n in (3, 5):
        for discrete, sides in ((False, flow_sides), (True, map_sides)):
            for a in cases(n, discrete, np.float64)[::3]:
                with mpmath.workdps(60):
                    values = mpmath.eig(mpmath.matrix(a.tolist()), left=False, right=False)
                    growth = max(abs(v) - 1 if discrete else v.real for v in values)
                    # A fivefold eigenvalue at sixty digits is known to twelve of them; hairs are longer than 1e-16.
                    assert sides(a) == ((growth < 0), (growth > 0)) or abs(growth) < 1e-11
                    wrong += sides(a) != ((growth < 0), (growth > 0))
    assert wrong <= 2


@pytest.mark.parametrize(
    ("make", "dtype"), [(Flow, np.float64), (Flow, np.float32), (Map, np.float64)], ids=["flow", "flow in single", "map"]
)
@pytest.mark.parametrize("n", SIZES)
def test_no_verdict_is_false(n, make, dtype):
    """In 200 cases of every sort (600 in all): the plain eigenvalues of LAPACK would be wrong in some of them."""
    stack = cases(n, make is Map, dtype)
    codes, growths, _ = map(np.asarray, verdicts(make, jnp.asarray(stack)))
    decided = 0
    for a, code, growth, (stable, unstable) in zip(stack, codes, growths, truths(n, make is Map, dtype), strict=True):
        if code in (STABLE, UNSTABLE):
            assert (stable, unstable) == (code == STABLE, code == UNSTABLE), (a.tolist(), growth)
            decided += 1
    # A verdict that never decides could not be false; normal matrices and rotations alone are a fifth of all.
    assert decided >= len(stack) / 10


def test_plain_eigenvalues_have_the_wrong_sign_where_no_verdict_is_given():
    wrong = 0
    for n in SIZES:
        codes, growths, _ = map(np.asarray, verdicts(Flow, jnp.asarray(cases(n, False, np.float64))))
        for code, growth, (stable, unstable) in zip(codes, growths, truths(n, False, np.float64), strict=True):
            if (growth < 0 and unstable) or (growth > 0 and stable):
                wrong += 1
                assert code not in (STABLE, UNSTABLE)
    assert wrong >= 10


@pytest.mark.parametrize(("make", "n"), [(Flow, 5), (Map, 5)])
def test_the_true_growth_is_below_the_bound(make, n):
    stack = cases(n, make is Map, np.float64)
    _, growths, bounds = map(np.asarray, verdicts(make, jnp.asarray(stack)))
    for a, growth, bound in zip(stack, growths, bounds, strict=True):
        with mpmath.workdps(120):
            values = mpmath.eig(mpmath.matrix(a.tolist()), left=False, right=False)
            true = float(max(mpmath.log(abs(v)) if make is Map else v.real for v in values))
        assert true <= bound, (a.tolist(), growth)
