"""FlowStack: K coupling flows side by side in one tensor program."""

import math

import numpy as np
import torch

from ._conditioners import Conditioner
from ._couplings import make_coupling


class _Layer:
    """One layer of K flows: a coupling, then a constant affine map.

    Inside the layer the features of model k stand in the order [transformed, conditioning], so the
    two parts are slices; ``rows`` brings them from the previous layer's order into this one's.
    """

    def __init__(self, masks, previous, coupling, make_conditioner):
        n_models, n_features = masks.shape
        self.n_transformed = int(masks[0].sum())
        # a stable sort keeps the features of each part in ascending order
        self.order = np.argsort(~masks, axis=1, kind="stable")
        position = np.argsort(previous, axis=1)  # feature -> place in the previous layer's order
        local = np.take_along_axis(position, self.order, axis=1)
        rows = (local + n_features * np.arange(n_models)[:, None]).ravel()
        self.rows = torch.from_numpy(rows)
        self.rows_back = torch.from_numpy(np.argsort(rows))
        self.coupling = coupling
        self.conditioner = make_conditioner(
            n_features - self.n_transformed, self.n_transformed * coupling.n_parameters
        )

    def to(self, device):
        self.rows, self.rows_back = self.rows.to(device), self.rows_back.to(device)

    def forward(self, parameters, x):
        x = _select(x, self.rows)  # a copy: the coupling works in place
        x_a, x_b = x[:, : self.n_transformed], x[:, self.n_transformed :]
        raw, inputs = self.conditioner.forward(parameters[2:], x_b)
        log_det, cache = self.coupling.forward(x_a, raw)
        scale = torch.exp(parameters[0])
        return torch.addcmul(parameters[1], x, scale), log_det, (x, scale, inputs, cache)

    def backward(self, parameters, gradients, cache, grad, grad_log_det):
        """Write the gradients of the parameters, return that of the input.

        What the constants add to the log-determinant is left to the caller.
        """
        x, scale, inputs, cache = cache
        torch.sum(grad, 2, keepdim=True, out=gradients[1])
        grad = grad * scale
        torch.sum(x * grad, 2, keepdim=True, out=gradients[0])
        grad_a, grad_b = grad[:, : self.n_transformed], grad[:, self.n_transformed :]
        grad_raw = self.coupling.backward(cache, grad_a, grad_log_det)
        self.conditioner.backward(parameters[2:], gradients[2:], inputs, grad_raw, grad_b)
        return _select(grad, self.rows_back)

    def inverse(self, parameters, y):
        scale = torch.exp(-parameters[0])
        x = torch.addcmul(-parameters[1] * scale, y, scale)
        x_a, x_b = x[:, : self.n_transformed], x[:, self.n_transformed :]
        raw, _ = self.conditioner.forward(parameters[2:], x_b)
        log_det = self.coupling.inverse(x_a, raw)
        return _select(x, self.rows_back), log_det


def _select(x, rows):
    return x.reshape(-1, x.shape[2]).index_select(0, rows).view(x.shape)


class FlowStack:
    """K flows of L layers side by side, with the standard normal as base distribution.

    A layer is a coupling, which transforms the features where its mask is True conditioned on the
    others, followed by a constant affine map ``x * s + t`` (``log s`` is learned, so that ``s``
    is positive). This is the formula of Gonsior et al. (2021), F_l = c_l o f_l; their text has the
    two the other way round, which fits worse: on standardised data the first constant is then
    idle, and nothing widens the last coupling. The parameters of model k are row k
    of ``theta``: whatever treats models apart (clipping, best states, optimizers) is an operation
    on rows.

    Parameters
    ----------
    masks : bool array of shape (K, L, n_features)
        Within a layer the number of transformed features is the same in all models.
    coupling : str
        A name in ``COUPLINGS``.
    hidden_layer_sizes : tuple of int
        Of the conditioners; with () and affine the coupling is ``(s, t) = tanh(W x_B + b)``.
    activation : str
        A name in ``ACTIVATIONS``.
    dtype, device
        Of the parameters; inputs are expected in the same.
    **hyperparameters
        Of the coupling, such as ``n_bins`` of the spline.
    """

    def __init__(
        self,
        masks,
        *,
        coupling="affine",
        hidden_layer_sizes=(),
        activation="relu",
        dtype=torch.float32,
        device="cpu",
        **hyperparameters,
    ):
        self.masks = np.array(masks, dtype=bool)
        self.config = {
            "coupling": coupling,
            "hidden_layer_sizes": tuple(hidden_layer_sizes),
            "activation": activation,
            **hyperparameters,
        }
        self.n_models, self.n_layers, self.n_features = self.masks.shape
        self.device = torch.device(device)
        order = np.tile(np.arange(self.n_features), (self.n_models, 1))
        self.layers = []
        coupling = make_coupling(
            coupling,
            single_layer=not hidden_layer_sizes,
            given=hyperparameters,
            dtype=dtype,
            device=self.device,
        )
        for layer_masks in self.masks.transpose(1, 0, 2):
            self.layers.append(_Layer(layer_masks, order, coupling, self._conditioner))
            order = self.layers[-1].order
        rows = np.argsort(order, axis=1) + self.n_features * np.arange(self.n_models)[:, None]
        self._last_rows = torch.from_numpy(rows.ravel()).to(self.device)
        self._first_rows = torch.from_numpy(np.argsort(rows.ravel())).to(self.device)
        for layer in self.layers:
            layer.to(self.device)
        n_constants = 2 * self.n_layers * self.n_features
        shapes = [shape for layer in self.layers for shape in layer.conditioner.shapes]
        size = n_constants + sum(math.prod(shape) for shape in shapes)
        self._bind(torch.zeros(self.n_models, size, dtype=dtype, device=self.device))

    def _conditioner(self, n_conditioning, n_outputs):
        # Without conditioning features only the last bias matters: no hidden layers.
        hidden = self.config["hidden_layer_sizes"] if n_conditioning else ()
        return Conditioner((n_conditioning, *hidden, n_outputs), self.config["activation"])

    def _bind(self, theta):
        self.theta = theta
        self.log_scales, self.parameters = self._views(theta)

    def _views(self, flat):
        """Views into ``flat`` ``(K, P)``: all constant log-scales, and each layer's tensors.

        A layer's are log-scale and shift ``(K, d, 1)``, then those of its conditioner. In
        ``flat`` the log-scales of all layers come first, then all shifts.
        """
        n_constants = self.n_layers * self.n_features
        constants = flat[:, : 2 * n_constants].view(self.n_models, 2, self.n_layers, -1, 1)
        start, layers = 2 * n_constants, []
        for i, layer in enumerate(self.layers):
            tensors = [constants[:, 0, i], constants[:, 1, i]]
            for shape in layer.conditioner.shapes:
                stop = start + math.prod(shape)
                tensors.append(flat[:, start:stop].view(self.n_models, *shape))
                start = stop
            layers.append(tensors)
        return flat[:, :n_constants], layers

    @property
    def n_parameters(self):
        """Parameters of one model."""
        return self.theta.shape[1]

    def weight_mask(self):
        """``(P,)``: 1 at the conditioners' weights, 0 at biases and constants."""
        mask = torch.zeros_like(self.theta)
        for tensors in self._views(mask)[1]:
            for weight in tensors[2::2]:
                weight.fill_(1)
        return mask[0]

    def initialize(self, generators):
        """Draw the parameters of model k from ``generators[k]``; constants are the identity."""
        self.theta.zero_()
        for layer, parameters in zip(self.layers, self.parameters):
            for k, generator in enumerate(generators):
                layer.conditioner.initialize(parameters[2:], k, generator)
        return self

    def _rows_first(self, x):
        """``(B, d)`` or ``(K, B, d)`` -> feature-major ``(K, d, B)``."""
        if x.dim() == 2:
            x = x.unsqueeze(0).expand(self.n_models, -1, -1)
        return x.transpose(1, 2)

    def _to_base(self, x, caches=None):
        """The base's features (in the last layer's order) and the log-determinant.

        A list given as ``caches`` collects what the reverse pass needs.
        """
        log_det = self.log_scales.sum(1, keepdim=True)
        for layer, parameters in zip(self.layers, self.parameters):
            x, layer_log_det, cache = layer.forward(parameters, x)
            log_det = log_det + layer_log_det
            if caches is not None:
                caches.append(cache)
        return x, log_det

    def _log_base(self, z):
        return -0.5 * ((z * z).sum(1) + self.n_features * math.log(2 * math.pi))

    @torch.inference_mode()
    def forward(self, x):
        """Data ``(B, d)`` or ``(K, B, d)`` to latent ``(K, B, d)``, log-determinant ``(K, B)``."""
        z, log_det = self._to_base(self._rows_first(x))
        return _select(z, self._last_rows).transpose(1, 2), log_det

    @torch.inference_mode()
    def inverse(self, z):
        """Latent to data, with the log-determinant of this direction."""
        x = _select(self._rows_first(z), self._first_rows)
        log_det = -self.log_scales.sum(1, keepdim=True)
        for layer, parameters in zip(reversed(self.layers), reversed(self.parameters)):
            x, layer_log_det = layer.inverse(parameters, x)
            log_det = log_det + layer_log_det
        return x.transpose(1, 2), log_det

    @torch.inference_mode()
    def log_prob(self, x):
        """Log-density in nats, ``(K, B)``, of ``(B, d)`` or ``(K, B, d)``."""
        z, log_det = self._to_base(self._rows_first(x))
        return self._log_base(z) + log_det

    @torch.inference_mode()
    def loss_and_gradient(self, x, gradient, weight=None):
        """Mean negative log-likelihood over the batch, and its gradient, model by model.

        The reverse pass is written by hand: autograd's graph costs more than the arithmetic of
        such small layers.

        Parameters
        ----------
        x : tensor of shape (K, B, d)
        gradient : views as of ``gradient_buffer``
            Overwritten.
        weight : tensor of shape (K, B), optional
            Weights of the rows.

        Returns
        -------
        loss : tensor of shape (K,), in nats a row
        """
        caches = []
        z, log_det = self._to_base(self._rows_first(x), caches)
        log_prob = self._log_base(z).add_(log_det)
        if weight is None:
            factor = torch.full_like(log_prob, -1 / x.shape[1])
        else:
            factor = weight / -x.shape[1]
        grad_log_det = factor.unsqueeze(1)
        grad = z.mul_(grad_log_det).neg_()
        log_scales, layers = gradient
        for layer, parameters, gradients in zip(
            reversed(self.layers), reversed(self.parameters), reversed(layers)
        ):
            grad = layer.backward(parameters, gradients, caches.pop(), grad, grad_log_det)
        log_scales.add_(factor.sum(1, keepdim=True))
        return (log_prob * factor).sum(1)

    def gradient_buffer(self):
        """A flat ``(K, P)`` buffer and the views into it that ``loss_and_gradient`` fills."""
        # A step frees what it has stored for the reverse pass, and glibc would hand those pages
        # back to the system, to fault them in again at the next step: a third of the time of a
        # stack of 16. Having freed one large block, it keeps them; untouched, it costs nothing.
        torch.empty(31 * 2**20, dtype=torch.uint8)
        flat = torch.zeros_like(self.theta)
        return flat, self._views(flat)

    def like(self, theta, masks=None):
        """A stack of the same configuration with the given rows of parameters."""
        masks = self.masks if masks is None else masks
        flow = FlowStack(masks, **self.config, dtype=theta.dtype, device=theta.device)
        flow._bind(theta)
        return flow

    def take(self, models):
        """The sub-stack of the given models (an index or a list of indices)."""
        models = np.atleast_1d(models)
        return self.like(
            self.theta[torch.from_numpy(models).to(self.device)].clone(), self.masks[models]
        )

    def to(self, dtype=None, device=None):
        """A copy with parameters of another dtype or on another device."""
        return self.like(self.theta.to(dtype=dtype, device=device, copy=True))

    def inherit(self, parent, k):
        """Start every model from the parameters of model k of ``parent``, whose masks may differ.

        Constants stay with their feature; the conditioners' weights stay where they are.
        """
        self.theta.copy_(parent.theta[k])
        for i, layer in enumerate(self.layers):
            place = np.argsort(parent.layers[i].order[k])
            source = torch.from_numpy(place[layer.order]).to(self.device).unsqueeze(2)
            for constant, inherited in zip(self.parameters[i][:2], parent.parameters[i][:2]):
                constant.copy_(inherited[k].expand_as(constant).gather(1, source))
        return self

    def __getstate__(self):
        """Configuration, masks and parameters, as plain Python and numpy objects."""
        return {**self.config, "masks": self.masks, "theta": self.theta.cpu().numpy().copy()}

    def __setstate__(self, state):
        theta = torch.from_numpy(state["theta"].copy())
        config = {key: value for key, value in state.items() if key not in ("masks", "theta")}
        self.__init__(state["masks"], **config, dtype=theta.dtype)
        self._bind(theta)
