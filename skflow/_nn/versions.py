"""What a report of a problem should tell: versions, and whether compiled kernels are in use."""

import platform
import sys
from importlib.metadata import version

from . import kernels


def show_versions():
    """Print versions of skflow and what it needs, and which compiled kernels are in use.

    The kernels make training, scoring and sampling on a CPU several times as fast. They are built
    when the package is installed, where there is a C++ compiler. With ``SKFLOW_KERNELS=0`` in the
    environment, PyTorch does all the work.

    Examples
    --------
    >>> import skflow
    >>> skflow.show_versions()
    skflow ..., Python ..., numpy ..., scipy ..., scikit-learn ..., torch ...
    compiled kernels: ...
    """
    own = sys.modules[__package__.partition(".")[0]]
    found = {"skflow": own.__version__, "Python": platform.python_version()}
    found |= {name: version(name) for name in ("numpy", "scipy", "scikit-learn", "torch")}
    print(", ".join(f"{name} {number}" for name, number in found.items()))
    chosen = kernels.instruction_set()
    if chosen is not None and not kernels.available():
        chosen = "off, by SKFLOW_KERNELS=0"
    print(f"compiled kernels: {chosen or 'not built'}")
