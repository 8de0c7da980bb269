"""Global settings of others: what is fitted and answered does not depend on them."""

from contextlib import ExitStack, contextmanager
from functools import partial

import numpy as np
import pytest
import torch
from every_method import ANSWERS, FITS, TABLES, answers_of
from sklearn import config_context
from small_flows import flow


@contextmanager
def of_torch_and_numpy():
    """Whatever could change results, or break them: a default device without numbers, ..."""
    before = torch.get_default_dtype()
    with ExitStack() as stack:
        stack.callback(torch.set_default_dtype, before)
        torch.set_default_dtype(torch.float64)
        stack.enter_context(torch.device("meta"))
        stack.enter_context(torch.autocast("cpu", dtype=torch.bfloat16))
        stack.enter_context(np.errstate(all="raise"))
        state = torch.get_default_device(), torch.get_default_dtype(), np.geterr()
        yield
        assert state == (torch.get_default_device(), torch.get_default_dtype(), np.geterr())
        assert torch.is_autocast_enabled("cpu")


#: Each alone where it changes what inner estimators return, the others at once.
SETTINGS = {
    "pandas": partial(config_context, transform_output="pandas"),
    "polars": partial(config_context, transform_output="polars"),
    "others": partial(
        config_context,
        assume_finite=True,
        enable_metadata_routing=True,
        skip_parameter_validation=True,
        enable_cython_pairwise_dist=False,
    ),
    "of torch and NumPy": of_torch_and_numpy,
}
#: Their answers are those of others in ``FITS``.
ALIKE = {"density", "search", "detector, one"}


def columns(answer):
    """An answer as a list of columns, whatever container it is in."""
    if isinstance(answer, list):
        return [column for table in answer for column in columns(table)]
    if hasattr(answer, "columns"):
        return [np.asarray(answer[name]) for name in answer.columns]
    return list(np.atleast_2d(answer).T)


def all_answers(name, table):
    fitted = FITS[name](TABLES[table])
    return {call: ANSWERS[call](fitted, TABLES[table]) for call in answers_of(name, table)}


@pytest.fixture(scope="module")
def without():
    known = {}

    def answers(name, table):
        if (name, table) not in known:
            known[name, table] = all_answers(name, table)
        return known[name, table]

    return answers


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", [name for name in FITS if name not in ALIKE])
def test_results_do_not_depend_on_global_settings(without, name, setting):
    pytest.importorskip("polars")
    expected = without(name, "mixed")
    with SETTINGS[setting]():
        answers = all_answers(name, "mixed")
    for call, answer in answers.items():
        if call == "summary":  # has the time in it
            continue
        for found, wanted in zip(columns(answer), columns(expected[call]), strict=True):
            if found.dtype == object:  # text and NaN
                found, wanted = found.astype(str), wanted.astype(str)
            np.testing.assert_array_equal(found, wanted, err_msg=call)


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_a_flow_trains_by_pytorch_where_gradients_are_switched_off(off, monkeypatch):
    monkeypatch.setenv("SKFLOW_KERNELS", "0")
    X = np.random.default_rng(0).normal(size=(60, 2))
    expected = flow().fit(X).score_samples(X)
    with off():
        found = flow().fit(X).score_samples(X)
    np.testing.assert_array_equal(found, expected)
