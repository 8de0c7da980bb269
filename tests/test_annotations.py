"""The types that signatures name are those that ``fit`` takes, for every parameter."""

import inspect
import types
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from sklearn.utils._param_validation import StrOptions, make_constraint

from skflow import (
    CouplingFlowDensity,
    FlowImputer,
    FlowOutlierDetector,
    FlowRegressor,
    StructureSearchFlow,
    Training,
    masks,
)

CLASSES = [
    CouplingFlowDensity,
    FlowImputer,
    FlowOutlierDetector,
    FlowRegressor,
    StructureSearchFlow,
    Training,
    masks.EvolutionarySearch,
]
#: Values of each type, some of which are possible for any parameter that takes the type.
EXAMPLES = {
    bool: [True, False],
    int: [0, 1, 2, 10],
    float: [0.25, 0.5, 1.5, 10.5],
    str: ["any text"],
    type(None): [None],
    PathLike: [Path("file")],
    Sequence: [(1, 2), [1, 2]],
    np.random.RandomState: [np.random.RandomState(0)],
    np.random.Generator: [np.random.default_rng(0)],
    Training: [Training()],
}
#: A type, and what type checkers take for it, too (PEP 484).
ALSO = {float: {float, int}, int: {int, bool}}


def cases():
    for cls in CLASSES:
        hints = get_type_hints(cls.__init__)
        for name in inspect.signature(cls).parameters:
            constraints = cls._parameter_constraints[name]
            if constraints != "no_validation":
                yield pytest.param(hints[name], constraints, id=f"{cls.__name__}-{name}")


def named_types(hint):
    """The types that an annotation names, or None where it allows any."""
    parts = get_args(hint) if get_origin(hint) in (types.UnionType, Union) else [hint]
    found = {get_origin(part) or part for part in parts}
    return None if Any in found else found


def accepted_types(constraints):
    """The types of which a value is accepted."""
    checks = [make_constraint(constraint) for constraint in constraints]
    options = [text for c in constraints if isinstance(c, StrOptions) for text in c.options]
    tried = {**EXAMPLES, str: EXAMPLES[str] + options}
    return {
        kind
        for kind, values in tried.items()
        if any(check.is_satisfied_by(value) for check in checks for value in values)
    }


@pytest.mark.parametrize(("hint", "constraints"), list(cases()))
def test_annotations_allow_what_is_accepted_and_nothing_else(hint, constraints):
    named, accepted = named_types(hint), accepted_types(constraints)
    if named is None:
        return
    assert named <= set(EXAMPLES)
    assert named <= accepted, f"{named - accepted} are allowed, and refused by fit"
    allowed = set.union(*(ALSO.get(kind, {kind}) for kind in named))
    assert accepted - {bool} <= allowed, f"{accepted - allowed} are accepted, and not allowed"


@pytest.mark.parametrize("cls", CLASSES)
def test_what_is_no_parameter_is_not_among_the_public_attributes(cls):
    """A public attribute of the class that is no method looks like a parameter that can be set."""
    public = {name for name in dir(cls) if not name.startswith("_") and not name.endswith("_")}
    plain = {name for name in public if not callable(inspect.getattr_static(cls, name))}
    descriptors = {name for name in plain if hasattr(inspect.getattr_static(cls, name), "__get__")}
    assert plain - descriptors - set(inspect.signature(cls).parameters) == set()
