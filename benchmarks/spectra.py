"""The rightmost eigenvalues of a GAN's Jacobian from a thousand parameters up: dense, SciPy and gandyn's, with the error made.

`python benchmarks/spectra.py 1000000` adds further sizes.
"""

import resource
import sys
import time

import jax

jax.config.update("jax_enable_x64", True)

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import scipy.sparse.linalg

import gandyn as gd

POINTS, COUNT, TOLERANCE = 128, 4, 1e-8
# The widths of both players' two hidden layers, and up to how many parameters the dense ways are tried.
WIDTHS, DENSE = (20, 32, 70, 220), 2500


def network(width):
    keys = jax.random.split(jax.random.key(0), 4)
    theta, generator = gd.network(eqx.nn.MLP(2, 2, width, 2, jnp.tanh, key=keys[0]))
    psi, critic = gd.network(eqx.nn.MLP(2, "scalar", width, 2, jnp.tanh, key=keys[1]))
    real, latent = (gd.Discrete(jax.random.normal(key, (POINTS, 2))) for key in keys[2:])
    return gd.GAN(generator, critic, real, latent, gd.objectives.minimax), gd.Players(theta, psi)


def flattened(game, x):
    vector, unravel = jax.flatten_util.ravel_pytree(x)
    return lambda v: jax.flatten_util.ravel_pytree(game(unravel(v)))[0], vector


def dense(game, x):
    field, vector = flattened(game, x)
    return np.linalg.eigvals(np.asarray(jax.jit(jax.jacfwd(field))(vector)))


def batched(game, x):
    return np.asarray(gd.eigenpairs(game, x, spectrum=gd.Dense()).values)


def scipy_arpack(game, x):
    field, vector = flattened(game, x)
    product = jax.jit(lambda v: jax.jvp(field, (vector,), (v,))[1])
    operator = scipy.sparse.linalg.LinearOperator((vector.size,) * 2, lambda v: np.asarray(product(v.reshape(-1))), dtype=float)
    start = np.random.default_rng(0).normal(size=vector.size)
    return scipy.sparse.linalg.eigs(operator, COUNT, which="LR", ncv=40, tol=TOLERANCE, v0=start)[0]


def ours(game, x):
    return np.asarray(gd.eigenpairs(game, x, spectrum=gd.Arnoldi(COUNT, tolerance=TOLERANCE)).values)


WAYS = {"jacfwd + LAPACK": dense, "gd.Dense": batched, "SciPy's ARPACK": scipy_arpack, "gd.Arnoldi": ours}


def rightmost(values):
    return np.sort(values.real)[::-1][:COUNT]


def main():
    widths = WIDTHS + tuple(int((int(n) / 2) ** 0.5) for n in sys.argv[1:])
    print(
        f"the {COUNT} rightmost of n eigenvalues; {POINTS} points; times with compilation; memory is the process's peak so far"
    )
    print(f"{'n':>8s}  {'how':16s} {'seconds':>8s} {'again':>8s} {'memory':>8s}  error of the real parts")
    for width in widths:
        game, x = network(width)
        n, reference = sum(leaf.size for leaf in jax.tree.leaves(x)), None
        # The least memory first, because a peak does not come down.
        for name in reversed(WAYS):
            if n > DENSE and WAYS[name] in (dense, batched):
                print(
                    f"{n:8d}  {name:16s}        not tried: {8e-9 * n**2:.3g} GB for the matrix, and time that grows as its cube"
                )
                continue
            seconds = []
            for _ in range(1 if WAYS[name] in (dense, batched) else 2):
                start = time.perf_counter()
                values = rightmost(WAYS[name](game, x))
                seconds.append(time.perf_counter() - start)
            reference = values if reference is None else reference
            again = f"{seconds[1]:8.2f}" if len(seconds) > 1 else 8 * " "
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
            error = np.max(np.abs(values - reference))
            print(f"{n:8d}  {name:16s} {seconds[0]:8.2f} {again} {memory:6.2f}GB  {error:.1e}", flush=True)


if __name__ == "__main__":
    main()
