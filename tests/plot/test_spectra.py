"""Spectra along training: every finite eigenvalue, its step, and the boundary of stability."""

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.patches import Circle

import gandyn as gd
from gandyn.training._run import Curve

STEPS = np.array([0, 10, 20, 30])
# Mescheder, Geiger and Nowozin (2018): R1 on the Dirac-GAN, the roots of lambda^2 + gamma lambda + 1/4.
GAMMAS = np.linspace(0.0, 0.9, 4)
VALUES = np.stack([np.roots([1, gamma, 0.25]).astype(complex) for gamma in GAMMAS])


def curve(values=VALUES):
    return Curve(jnp.asarray(STEPS), jnp.asarray(values))


def points(ax):
    scatter = ax.collections[0]
    x, y = np.ma.getdata(scatter.get_offsets()).T
    return x + 1j * y, scatter.get_array()


def test_every_eigenvalue_has_the_colour_of_its_step():
    ax = gd.plot.spectra(curve())
    values, steps = points(ax)
    assert np.array_equal(values, VALUES.ravel())
    assert np.array_equal(steps, np.repeat(STEPS, 2))
    assert [other.get_ylabel() for other in ax.figure.axes] == [r"$\mathrm{Im}\,\lambda$", "step"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["step 0", "step 30"]


@pytest.mark.parametrize(("discrete", "circles", "symbol"), [(False, 0, "lambda"), (True, 1, "mu")])
def test_the_boundary_is_that_of_a_flow_or_of_a_map(discrete, circles, symbol):
    ax = gd.plot.spectra(curve(), discrete=discrete)
    assert sum(isinstance(artist, Circle) and artist.radius == 1 for artist in ax.patches) == circles
    uprights = [line for line in ax.lines if line.get_linestyle() == "-" and np.array_equal(line.get_xdata(), [0, 0])]
    assert len(uprights) == 1 - circles
    assert symbol in ax.get_xlabel()


def test_what_was_not_found_is_left_out():
    values = VALUES.copy()
    values[0] = np.nan
    values[2, 1] = np.nan
    ax = gd.plot.spectra(curve(values))
    values, steps = points(ax)
    assert np.array_equal(values, VALUES.ravel()[[2, 3, 4, 6, 7]])
    assert np.array_equal(steps, [10, 10, 20, 30, 30])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["step 10", "step 30"]


@pytest.mark.parametrize(("values", "message"), [(VALUES[:, 0], "curve has shape"), (np.nan * VALUES, "no finite eigenvalues")])
def test_a_picture_of_nothing_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        gd.plot.spectra(curve(values))


@pytest.mark.parametrize(
    ("real", "discrete", "aspect", "scales"),
    [
        (-0.5, False, 1, ("linear", "linear")),
        # An eigenvalue far from the others, as networks have.
        (-500.0, False, "auto", ("symlog", "linear")),
        (-500.0, True, "auto", ("linear", "linear")),
    ],
)
def test_a_spectrum_of_many_sizes_is_seen(real, discrete, aspect, scales):
    turning = 0.5 * np.exp(1j * np.linspace(1.0, 2.0, 4))
    values = np.stack([turning, turning.conj(), np.full(4, real)], axis=1)
    ax = gd.plot.spectra(curve(values), discrete=discrete)
    assert (ax.get_aspect(), (ax.get_xscale(), ax.get_yscale())) == (aspect, scales)
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    assert all(left < z.real < right and bottom < z.imag < top for z in values.ravel())
