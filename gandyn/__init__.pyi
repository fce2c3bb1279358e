from . import games, objectives, plot, textbook, training
from ._constraint import AbstractConstraint, Ball, Box, Constraints, SpectralBall
from ._crossing import Crossings, crossings
from ._evolve import Trajectory, iterate
from ._integrate import integrate
from ._record import load, provenance, save
from ._results import RESULTS
from ._section import Section
from ._system import AbstractFlow, AbstractGame, AbstractMap, AbstractSystem, Players
from .analysis._assumptions import Assumption, Assumptions, assumptions
from .analysis._attractor import Attractor, attractor
from .analysis._basins import Basins, basins
from .analysis._batches import BatchSpectra, Extremes, batch_spectra, block_extremes
from .analysis._boundary import Boundary, Codim2, boundary
from .analysis._branch import Branch, Special
from .analysis._circle import Circle, invariant_circle
from .analysis._compare import Comparison, compare
from .analysis._conserved import Conserved, conserved
from .analysis._continuation import continuation
from .analysis._cycle import Cycle, cycle
from .analysis._deviation import Deviation, best_response
from .analysis._eigenpairs import Eigenpairs, eigenpairs
from .analysis._endpoint import EndPoint, endpoint
from .analysis._equilibria import Equilibria, equilibria
from .analysis._equilibrium import Equilibrium, Manifold, equilibrium, manifold
from .analysis._family import Family, family
from .analysis._interior import Critical, Nearest
from .analysis._krylov import Arnoldi, Largest, Rightmost
from .analysis._lanczos import Lanczos
from .analysis._linear import Dense, blocks, linearize
from .analysis._lyapunov import Lyapunov, lyapunov
from .analysis._noise import Stationary, diffuse, stationary
from .analysis._normal_form import NormalForm, normal_form
from .analysis._notion import Notion, Notions
from .analysis._notions import notions
from .analysis._orbit import PeriodicOrbit, periodic
from .analysis._predict import Prediction, predict
from .analysis._pursuit import Pursuit, keep_optimising
from .analysis._rate import Rate, rate
from .analysis._schur import Blocks
from .analysis._second_order import Condition
from .analysis._stability import stability
from .analysis._sweep import StoredSweep, Sweep, open_sweep, sweep
from .analysis._threshold import Threshold, critical_step, threshold
from .analysis._transient import Transient, transient
from .analysis._verdict import Stability
from .fields._adjust import SymplecticAdjustment, TimeScaled
from .fields._constrained import Constrained
from .fields._norm import FieldNorm, consensus, jare, nagarajan_kolter
from .games._composite import Convolution, Mixture, Product
from .games._distance import euclidean, sobolev
from .games._gan import GAN, AbstractGAN, network
from .games._inner import Unrolled
from .games._measure import AbstractMeasure, Discrete
from .games._noise import instance_noise
from .games._penalty import (
    GradientPenalty,
    Penalised,
    Segments,
    gradient_penalty,
    on_generated,
    on_real,
    on_segments,
    one_sided,
    quartic,
    r1,
    r2,
    two_sided,
    weight_decay,
)
from .games._piecewise import Kinked, Piecewise
from .games._proximal import Proximal, ProximalTraining
from .games._quadrature import Gaussian, Uniform
from .games._transport import TransportGAN, c_transform
from .games._wasserstein import wasserstein2
from .maps._extra import ExtraGradient, Lookahead, Optimistic, Past
from .maps._gradient import AltGD, SimGD
from .maps._implicit import Competitive, FollowTheRidge, Implicit, ProximalPoint
from .maps._modified import Modified
from .maps._momentum import Momentum, Moving
from .maps._optax import Optax, Optimised, Rule
from .maps._random import Drawn, Minibatch, Random
from .maps._return import PoincareMap, TimeMap
from .maps._runge_kutta import EULER, HEUN, MIDPOINT, RK4, RungeKutta, Tableau
from .maps._scheduled import Clocked, Scheduled
from .maps._wrap import Averaged, Iterated, Projected, WithAverage
from .objectives import AbstractObjective

__all__ = [
    "EULER",
    "GAN",
    "HEUN",
    "MIDPOINT",
    "RESULTS",
    "RK4",
    "AbstractConstraint",
    "AbstractFlow",
    "AbstractGAN",
    "AbstractGame",
    "AbstractMap",
    "AbstractMeasure",
    "AbstractObjective",
    "AbstractSystem",
    "AltGD",
    "Arnoldi",
    "Assumption",
    "Assumptions",
    "Attractor",
    "Averaged",
    "Ball",
    "Basins",
    "BatchSpectra",
    "Blocks",
    "Boundary",
    "Box",
    "Branch",
    "Circle",
    "Clocked",
    "Codim2",
    "Comparison",
    "Competitive",
    "Condition",
    "Conserved",
    "Constrained",
    "Constraints",
    "Convolution",
    "Critical",
    "Crossings",
    "Cycle",
    "Dense",
    "Deviation",
    "Discrete",
    "Drawn",
    "Eigenpairs",
    "EndPoint",
    "Equilibria",
    "Equilibrium",
    "ExtraGradient",
    "Extremes",
    "Family",
    "FieldNorm",
    "FollowTheRidge",
    "Gaussian",
    "GradientPenalty",
    "Implicit",
    "Iterated",
    "Kinked",
    "Lanczos",
    "Largest",
    "Lookahead",
    "Lyapunov",
    "Manifold",
    "Minibatch",
    "Mixture",
    "Modified",
    "Momentum",
    "Moving",
    "Nearest",
    "NormalForm",
    "Notion",
    "Notions",
    "Optax",
    "Optimised",
    "Optimistic",
    "Past",
    "Penalised",
    "PeriodicOrbit",
    "Piecewise",
    "Players",
    "PoincareMap",
    "Prediction",
    "Product",
    "Projected",
    "Proximal",
    "ProximalPoint",
    "ProximalTraining",
    "Pursuit",
    "Random",
    "Rate",
    "Rightmost",
    "Rule",
    "RungeKutta",
    "Scheduled",
    "Section",
    "Segments",
    "SimGD",
    "Special",
    "SpectralBall",
    "Stability",
    "Stationary",
    "StoredSweep",
    "Sweep",
    "SymplecticAdjustment",
    "Tableau",
    "Threshold",
    "TimeMap",
    "TimeScaled",
    "Trajectory",
    "Transient",
    "TransportGAN",
    "Uniform",
    "Unrolled",
    "WithAverage",
    "assumptions",
    "attractor",
    "basins",
    "batch_spectra",
    "best_response",
    "block_extremes",
    "blocks",
    "boundary",
    "c_transform",
    "compare",
    "consensus",
    "conserved",
    "continuation",
    "critical_step",
    "crossings",
    "cycle",
    "diffuse",
    "eigenpairs",
    "endpoint",
    "equilibria",
    "equilibrium",
    "euclidean",
    "family",
    "games",
    "gradient_penalty",
    "instance_noise",
    "integrate",
    "invariant_circle",
    "iterate",
    "jare",
    "keep_optimising",
    "linearize",
    "load",
    "lyapunov",
    "manifold",
    "nagarajan_kolter",
    "network",
    "normal_form",
    "notions",
    "objectives",
    "on_generated",
    "on_real",
    "on_segments",
    "one_sided",
    "open_sweep",
    "periodic",
    "plot",
    "predict",
    "provenance",
    "quartic",
    "r1",
    "r2",
    "rate",
    "save",
    "sobolev",
    "stability",
    "stationary",
    "sweep",
    "textbook",
    "threshold",
    "training",
    "transient",
    "two_sided",
    "wasserstein2",
    "weight_decay",
]
__version__: str
