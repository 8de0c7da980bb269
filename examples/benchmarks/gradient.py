"""What the hand-written reverse pass of the flow buys against autograd.

    python gradient.py

The same flows, the same parameters, the same rows: the loss of a batch with its gradient, once by
``FlowStack.loss_and_gradient``, once by autograd through the same formulas on the same tensors
(feature-major, all models in one product). Both agree, which is checked. They take turns on one
thread; the clock is the processor time of the process, a ratio the median over turns.
"""

import argparse
import time

import numpy as np
import pandas as pd
import torch
from _speed_contests import FLOWS, make_flow
from speed import table
from torch.nn.functional import pad


def affine(coupling, x, raw):
    log_scale, shift = raw.unbind(1)
    high = coupling.high
    log_scale = high * torch.tanh(log_scale / high)
    if coupling.bounded_shift:
        shift = torch.tanh(shift)
    return torch.exp(log_scale) * x + shift, log_scale


def spline(coupling, x, raw):
    """Durkan et al. (2019), Eqs. 4 and 5, the parameters of a value in dimension 1."""
    n, bound = coupling.n_bins, coupling.bound
    sizes = torch.softmax(raw[:, : 2 * n].unflatten(1, (2, n)), 2)
    sizes = 2 * bound * (coupling.min_size + (1 - n * coupling.min_size) * sizes)
    edges = pad(sizes.cumsum(2), (0, 0, 0, 0, 1, 0)) - bound
    level = torch.sigmoid(raw[:, 2 * n :] + coupling.offset)
    inner = coupling.low + coupling.derivative_range * level
    slopes = pad(inner, (0, 0, 0, 0, 1, 1), value=1.0)
    clipped = x.clamp(-bound, bound)
    here = (clipped.unsqueeze(1) > edges[:, 0, 1:-1]).sum(1, keepdim=True)
    both = here.unsqueeze(1).expand(-1, 2, -1, -1, -1)
    (w, h), (x0, y0) = (t.gather(2, both).squeeze(2).unbind(1) for t in (sizes, edges))
    d0, d1 = (slopes.gather(1, here + i).squeeze(1) for i in (0, 1))
    theta, s = (clipped - x0) / w, h / w
    u = theta * (1 - theta)
    denominator = s + (d0 + d1 - 2 * s) * u
    y = y0 + h * (s * theta**2 + d0 * u) / denominator
    m = d1 * theta**2 + 2 * s * u + d0 * (1 - theta) ** 2
    return x - clipped + y, 2 * torch.log(s / denominator) + torch.log(m)


def loss_by_autograd(flow, theta, x):
    """The loss ``(K,)`` of rows ``(K, B, d)`` as a graph on the parameters ``theta``."""
    function = spline if flow.config["coupling"] == "spline" else affine
    log_scales, layers = flow._views(theta)
    x, log_det = x.transpose(1, 2), log_scales.sum(1, keepdim=True)
    for layer, (log_scale, shift, linears) in zip(flow.layers, layers):
        x = x.reshape(-1, x.shape[2]).index_select(0, layer.rows).view(x.shape)
        x_a, h = x.split([layer.n_transformed, x.shape[1] - layer.n_transformed], 1)
        x_b = h
        for linear in linears:
            h = h if linear is linears[0] else torch.relu(h)
            h = torch.baddbmm(linear.bias, linear.weight, h)
        x_a, log_slope = function(layer.coupling, x_a, h.unflatten(1, (-1, x_a.shape[1])))
        x = torch.addcmul(shift, torch.cat([x_a, x_b], 1), torch.exp(log_scale))
        log_det = log_det + log_slope.sum(1)
    return -(flow._log_base(x) + log_det).mean(1)


def by_hand(flow, x):
    buffer, views = flow.gradient_buffer()

    def work():
        flow.loss_and_gradient(x, views)
        return buffer

    return work


def by_autograd(flow, x):
    theta = flow.theta.clone().requires_grad_()
    return lambda: torch.autograd.grad(loss_by_autograd(flow, theta, x).sum(), theta)[0]


def compare(name, n_models, batch, n_turns):
    flow = make_flow(10, 8, *FLOWS[name], n_models)
    x = torch.randn(n_models, batch, 10)
    exact = flow.to(dtype=torch.float64), x.double()  # in which rounding explains nothing
    if not torch.allclose(by_hand(*exact)(), by_autograd(*exact)(), rtol=1e-6, atol=1e-9):
        raise RuntimeError(f"the gradients of {name} differ")
    contestants = by_hand(flow, x), by_autograd(flow, x)
    for work in contestants:
        work()
    seconds = []
    for _ in range(n_turns):
        turn = []
        for work in contestants:
            start = time.process_time()
            for _ in range(5):
                work()
            turn.append((time.process_time() - start) / 5)
        seconds.append(turn)
    hand, graph = np.transpose(seconds)
    return {
        "flow": name,
        "models": n_models,
        "batch": batch,
        "by hand (ms)": 1e3 * np.median(hand),
        "autograd (ms)": 1e3 * np.median(graph),
        "autograd / by hand": np.median(graph / hand),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--turns", type=int, default=15)
    n_turns = parser.parse_args().turns
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sizes = [(1, 64), (1, 380), (16, 64)]
    print(table(pd.DataFrame([compare(name, *size, n_turns) for name in FLOWS for size in sizes])))


if __name__ == "__main__":
    main()
