"""Small estimators of densities, quick to fit, that several test modules run on."""

from sklearn.base import clone

from skflow import CouplingFlowDensity, StructureSearchFlow, Training

SMALL = {
    "n_layers": 2,
    "hidden_layer_sizes": (8,),
    "max_iter": 5,
    "component_weight": 0,
    "random_state": 0,
}
ESTIMATORS = {
    "spline": CouplingFlowDensity(**SMALL),
    "tails": CouplingFlowDensity(coupling="affine", **{**SMALL, "component_weight": 0.1}),
    "affine": CouplingFlowDensity(coupling="affine", early_stopping=False, **SMALL),
    "ensemble": CouplingFlowDensity(
        n_estimators=2, training=Training(n_init=2), mask_layout="random", **SMALL
    ),
    "search": StructureSearchFlow(
        n_search_iter=4, n_candidate_steps=3, candidate_score="validation", **SMALL
    ),
}
FLOW = ESTIMATORS["spline"]


def flow(**params):
    return clone(FLOW).set_params(**params)
