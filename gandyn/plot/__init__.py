"""Pictures: one function for each kind of result, which draws on given axes or on a new figure and returns the axes."""

from ._basins import basins as basins
from ._branch import branch as branch
from ._chart import chart as chart
from ._comparison import comparison as comparison
from ._comparison import rate as rate
from ._cycle import cycle as cycle
from ._cycle import family as family
from ._cycle import multipliers as multipliers
from ._deviation import deviation as deviation
from ._notions import notions as notions
from ._portrait import portrait as portrait
from ._region import stability_region as stability_region
from ._return import return_map as return_map
from ._return import section as section
from ._spectrum import paths as paths
from ._spectrum import spectrum as spectrum
from ._style import figure as figure
from ._style import save as save
from ._style import style as style
from ._trajectory import coordinates as coordinates
from ._trajectory import trajectory as trajectory
from ._transient import gain as gain
from ._transient import transient as transient
