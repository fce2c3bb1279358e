"""Reports: what became of the claims, as one page that opens offline and as JSON."""

from ._write import as_json as as_json
from ._write import write as write
