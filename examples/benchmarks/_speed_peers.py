"""The same coupling flow in four other libraries, for ``speed.py``.

Every flow has L coupling layers with parity masks, each followed by a learned constant scale and
shift, and conditioners of the same sizes: one linear map (with tanh where the library leaves it to
the user) or ReLU layers. What a library fixes differently is left as it is; it is small: how a
log-scale is bounded, and that FrEIA permutes the features (as hard permutations) where the others
alternate masks. Only public classes are used, each in the fastest form that its API offers.
"""

import itertools

import numpy as np
import torch
from torch import nn

BOUND = 5.0  # of the splines


def parity_masks(n_layers, n_features):
    """True = transformed: even columns in the first layer, odd ones in the second, and so on."""
    return (np.arange(n_features) + np.arange(n_layers)[:, None]) % 2 == 0


def perceptron(n_inputs, n_outputs, hidden, last=nn.Identity):
    sizes = (n_inputs, *hidden, n_outputs)
    layers = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    nn.init.normal_(layers[-2].weight, std=1e-2)
    nn.init.zeros_(layers[-2].bias)
    return nn.Sequential(*layers[:-1], last())


class Peer(nn.Module):
    """``log_prob``, ``sample``, and a training step as each library's documentation writes it."""

    def __init__(self, n_features, n_layers, coupling, hidden, n_bins=8):
        super().__init__()
        masks = parity_masks(n_layers, n_features)
        # The paper's single-layer conditioner ends in tanh.
        last = nn.Identity if hidden or coupling == "spline" else nn.Tanh
        self.n_features = n_features
        self.flow = self.build(masks, coupling, hidden, n_bins, last)

    def start_training(self, learning_rate):
        # of torch's implementations of Adam the fastest here
        self.optimizer = torch.optim.Adam(self.parameters(), learning_rate, fused=True)

    def step(self, x):
        loss = -self.log_prob(x).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters(), 5.0)
        self.optimizer.step()
        return loss


class Zuko(Peer):
    def build(self, masks, coupling, hidden, n_bins, last):
        from zuko.distributions import DiagNormal
        from zuko.flows import Flow, GeneralCouplingTransform
        from zuko.lazy import UnconditionalDistribution, UnconditionalTransform
        from zuko.transforms import MonotonicAffineTransform, MonotonicRQSTransform

        d = masks.shape[1]
        univariate = {}
        if coupling == "spline":
            shapes = [(n_bins,), (n_bins,), (n_bins - 1,)]
            univariate = {"univariate": MonotonicRQSTransform, "shapes": shapes}
        layers = []
        for mask in masks:
            layers += [
                # zuko's mask marks the conditioning features
                GeneralCouplingTransform(d, mask=~mask, hidden_features=hidden, **univariate),
                UnconditionalTransform(MonotonicAffineTransform, torch.zeros(d), torch.zeros(d)),
            ]
        base = UnconditionalDistribution(DiagNormal, torch.zeros(d), torch.ones(d), buffer=True)
        return Flow(layers, base)

    def log_prob(self, x):
        return self.flow().log_prob(x)

    def sample(self, n_rows):
        return self.flow().sample((n_rows,))


class Nflows(Peer):
    def build(self, masks, coupling, hidden, n_bins, last):
        from nflows import transforms
        from nflows.distributions import StandardNormal
        from nflows.flows import Flow

        class Conditioner(nn.Sequential):
            hidden_features = 1  # divides the softmax's inputs: 1 leaves them as they are

            def forward(self, inputs, context=None):
                return super().forward(inputs)

        def conditioner(n_inputs, n_outputs):
            return Conditioner(*perceptron(n_inputs, n_outputs, hidden, last))

        layers = []
        for mask in torch.from_numpy(masks.astype(int)):
            if coupling == "affine":
                layers.append(transforms.AffineCouplingTransform(mask, conditioner))
            else:
                layers.append(
                    transforms.PiecewiseRationalQuadraticCouplingTransform(
                        mask, conditioner, num_bins=n_bins, tails="linear", tail_bound=BOUND
                    )
                )
            constant = transforms.ActNorm(masks.shape[1])
            constant.initialized.fill_(True)
            layers.append(constant)
        return Flow(transforms.CompositeTransform(layers), StandardNormal([masks.shape[1]]))

    def log_prob(self, x):
        return self.flow.log_prob(x)

    def sample(self, n_rows):
        return self.flow.sample(n_rows)


class Normflows(Peer):
    def build(self, masks, coupling, hidden, n_bins, last):
        import normflows as nf
        from normflows.flows.neural_spline.coupling import PiecewiseRationalQuadraticCoupling

        class Conditioner(nn.Sequential):
            hidden_features = 1

            def forward(self, inputs, context=None):
                return super().forward(inputs)

        class Spline(nf.flows.Flow):
            # normflows' own wrapper of this class allows residual networks only
            def __init__(self, mask):
                super().__init__()
                self.coupling = PiecewiseRationalQuadraticCoupling(
                    mask,
                    lambda a, b: Conditioner(*perceptron(a, b, hidden, last)),
                    num_bins=n_bins,
                    tails="linear",
                    tail_bound=BOUND,
                )

            def forward(self, z):
                return self.coupling.inverse(z, None)

            def inverse(self, z):
                return self.coupling(z, None)

        d, layers = masks.shape[1], []
        for i, mask in enumerate(torch.from_numpy(masks.astype(int))):
            if coupling == "affine":
                n_a = d // 2 if i % 2 else (d + 1) // 2
                network = perceptron(d - n_a, 2 * n_a, hidden, last)
                # halves instead of parity, which is the same up to the order of the columns and
                # much faster in normflows
                mode = "channel" if i % 2 else "channel_inv"
                layers.append(nf.flows.AffineCouplingBlock(network, split_mode=mode))
            else:
                layers.append(Spline(mask))
            layers.append(nf.flows.AffineConstFlow((d,)))
        # normflows lists the layers from the base to the data
        base = nf.distributions.DiagGaussian(d, trainable=False)
        return nf.NormalizingFlow(base, layers[::-1])

    def log_prob(self, x):
        return self.flow.log_prob(x)

    def sample(self, n_rows):
        return self.flow.sample(n_rows)[0]


class Freia(Peer):
    def build(self, masks, coupling, hidden, n_bins, last):
        from FrEIA.framework import SequenceINN
        from FrEIA.modules import AllInOneBlock

        if coupling == "spline":
            raise NotImplementedError("the released FrEIA has no splines")
        flow = SequenceINN(masks.shape[1])
        for _ in masks:
            flow.append(
                AllInOneBlock,
                # without tanh: the block changes its output in place, and bounds it itself
                subnet_constructor=lambda a, b: perceptron(a, b, hidden),
                global_affine_type="EXP",
            )
        return flow

    def log_prob(self, x):
        z, log_det = self.flow(x)
        return -0.5 * (z * z).sum(1) - 0.5 * self.n_features * np.log(2 * np.pi) + log_det

    def sample(self, n_rows):
        return self.flow(torch.randn(n_rows, self.n_features), rev=True)[0]


PEERS = {"zuko": Zuko, "nflows": Nflows, "normflows": Normflows, "FrEIA": Freia}
