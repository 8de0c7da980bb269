"""FlowStack: copies, parts, other places, and what a stack inherits, over the table of flows."""

import copy
import pickle

import numpy as np
import pytest
import torch
from test_flow import FLOWS, SOME, make_flow, of_models, rows_for


@pytest.fixture(params=FLOWS)
def flow(request):
    return make_flow(request.param)


def test_pickle_and_deepcopy_are_bit_equal(flow):
    x, context = rows_for(flow)
    for restored in (pickle.loads(pickle.dumps(flow)), copy.deepcopy(flow)):
        assert torch.equal(restored.theta, flow.theta)
        assert torch.equal(restored.log_prob(x, context), flow.log_prob(x, context))
        assert torch.equal(restored.inverse(x, context)[0], flow.inverse(x, context)[0])
        restored.theta.zero_()
        assert flow.theta.any()  # nothing is shared


def test_state_is_plain(flow):
    state = flow.__getstate__()
    assert isinstance(state["theta"], np.ndarray) and isinstance(state["masks"], np.ndarray)
    assert not any(isinstance(value, torch.Tensor) for value in state.values())


@SOME
def test_take(name):
    flow = make_flow(name)
    x, context = rows_for(flow)
    log_prob = flow.log_prob(x, context)
    for models in (1, [1], [2, 0], np.array([0, 2])):
        part = flow.take(models)
        index = np.atleast_1d(models)
        assert np.array_equal(part.masks, flow.masks[index])
        # which kernel multiplies matrices depends on how many there are
        found, expected = part.log_prob(x[index], of_models(context, index)), log_prob[index]
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-12)
    before = flow.theta.clone()
    part.theta.zero_()
    assert torch.equal(flow.theta, before)


@SOME
def test_to(name):
    flow = make_flow(name)
    x, context = rows_for(flow)
    single = flow.to(dtype=torch.float32)
    single_context = None if context is None else context.float()
    assert single.theta.dtype == torch.float32 and flow.theta.dtype == torch.float64
    found, expected = single.log_prob(x.float(), single_context), flow.log_prob(x, context).float()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)
    same = flow.to()
    same.theta.zero_()
    assert flow.theta.any()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@SOME
def test_on_cuda(name):
    flow = make_flow(name)
    x, context = rows_for(flow)
    on_gpu, gpu_x = flow.to(device="cuda"), x.cuda()
    gpu_context = None if context is None else context.cuda()
    assert on_gpu.theta.is_cuda
    found = on_gpu.log_prob(gpu_x, gpu_context).cpu(), on_gpu.inverse(gpu_x, gpu_context)[0].cpu()
    torch.testing.assert_close(found[0], flow.log_prob(x, context))
    torch.testing.assert_close(found[1], flow.inverse(x, context)[0])
    found = on_gpu.loss_and_gradient(gpu_x, context=gpu_context)
    for ours, expected in zip(found, flow.loss_and_gradient(x, context=context)):
        torch.testing.assert_close(ours.cpu(), expected)
    # a reader without a GPU can load it
    assert torch.equal(pickle.loads(pickle.dumps(on_gpu)).theta, flow.theta)
