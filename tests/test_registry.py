"""Tables of names: one invariant for each of them."""

import numpy as np
import pytest

from skflow import CouplingFlowDensity, Training
from skflow._nn.conditioners import ACTIVATIONS
from skflow._nn.couplings import COUPLINGS
from skflow._nn.flow import FlowStack
from skflow._nn.optimizers import SCHEDULES, SOLVERS

TABLES = [COUPLINGS, ACTIVATIONS, SOLVERS, SCHEDULES]


@pytest.fixture(params=TABLES, ids=lambda table: table.argument)
def table(request):
    return request.param


def test_an_unknown_name_is_a_sentence_that_lists_the_known_ones(table):
    with pytest.raises(ValueError, match=f"^{table.argument}='nothing' is not known. Use"):
        table["nothing"]
    with pytest.raises(ValueError, match=repr(list(table)[-1])):
        table["nothing"]


def test_estimators_offer_what_the_table_holds(table):
    constraints = CouplingFlowDensity._parameter_constraints | Training._parameter_constraints
    (options,) = constraints[table.argument]
    assert options.options == set(table)


@pytest.mark.parametrize("argument", ["coupling", "activation"])
def test_a_flow_refuses_unknown_names(argument):
    masks = np.ones((1, 1, 1), dtype=bool)
    with pytest.raises(ValueError, match=f"{argument}='nothing' is not known"):
        FlowStack(masks, **{argument: "nothing"})
