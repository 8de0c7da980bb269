"""What "auto" means: bounds and monotony of the recipe over all sizes of tables."""

import pytest

from skflow import CouplingFlowDensity, Training
from skflow._nn import recipe as _recipe

SIZES = [20, 100, 188, 1000, 1337, 10_000, 17_118, 100_000, 1_000_000]


def test_batch_sizes():
    sizes = [_recipe.batch_size(n) for n in SIZES]
    assert sizes == [32, 32, 32, 64, 64, 128, 256, 1024, 1024]


def test_trainings_are_of_about_the_same_length():
    for n_rows in SIZES:
        steps_per_epoch = max(1, n_rows // _recipe.batch_size(n_rows))
        n_epochs = _recipe.max_iter(steps_per_epoch)
        assert _recipe.MIN_EPOCHS <= n_epochs <= _recipe.MAX_EPOCHS
        n_steps = n_epochs * steps_per_epoch
        if _recipe.MIN_EPOCHS < n_epochs < _recipe.MAX_EPOCHS:
            assert _recipe.N_STEPS <= n_steps < _recipe.N_STEPS + steps_per_epoch


def test_few_rows_for_each_column_take_fewer_epochs():
    ratios = [10.0, 3.0, 1.0, 0.5, 0.25, 0.01]
    n_epochs = [_recipe.max_iter(6, 5, ratio) for ratio in ratios]
    assert n_epochs == [120, 120, 40, 20, 10, 10]
    assert _recipe.training_options(CouplingFlowDensity(), 400, 800).n_steps == 20 * 6
    assert _recipe.training_options(CouplingFlowDensity(), 100, 200).n_steps == 20 * 3


def test_averaged_members_take_as_many_steps_with_half_as_many_rows():
    one, five = (_recipe.training_options(CouplingFlowDensity(), 400, 10, None, n) for n in (1, 5))
    assert (one.batch_size, one.n_steps) == (64, 120 * 6)
    assert (five.batch_size, five.n_steps) == (32, 60 * 12)
    for own in ({"max_iter": 20}, {"training": Training(batch_size=64)}):  # chosen as a pair
        assert (
            _recipe.training_options(CouplingFlowDensity(**own), 400, 10, None, 5).batch_size == 64
        )


def test_decay_is_stronger_where_rows_are_few():
    decays = [_recipe.alpha(n, 10, "adam", single_layer=False) for n in SIZES]
    assert decays == sorted(decays, reverse=True)
    assert decays[0] == 6.0
    assert _recipe.alpha(15_000, 50, "adam", single_layer=False) == pytest.approx(1.0)
    assert _recipe.alpha(15_000, 10, "adam", single_layer=False) == pytest.approx(0.2)
    assert _recipe.alpha(100, 10, "sgd", single_layer=False) == 0
    assert _recipe.alpha(100, 10, "adam", single_layer=True) == 0


def test_the_estimator_follows_the_recipe_and_the_user_overrides_it():
    options = _recipe.training_options(CouplingFlowDensity(), 15_000, 10)
    assert (options.batch_size, options.steps_per_epoch) == (256, 58)
    assert options.n_steps == 87 * 58
    assert (options.learning_rate_init, options.alpha) == (0.01, pytest.approx(0.2))
    assert options.n_iter_no_change == 53
    own = CouplingFlowDensity(
        training=Training(batch_size=100, learning_rate_init=0.1, alpha=0, n_iter_no_change=None),
        max_iter=2.5,
    )
    options = _recipe.training_options(own, 1000, 10)
    assert (options.batch_size, options.n_steps, options.learning_rate_init) == (100, 25, 0.1)
    assert (options.alpha, options.n_iter_no_change) == (0, None)


def test_single_layer_conditioners_have_their_own_rate():
    paper = {"coupling": "affine", "hidden_layer_sizes": ()}
    adam = _recipe.training_options(CouplingFlowDensity(**paper), 500, 10)
    assert adam.learning_rate_init == 0.06
    sgd = _recipe.training_options(
        CouplingFlowDensity(training=Training(solver="sgd"), **paper), 500, 10
    )
    assert sgd.learning_rate_init == 0.01
    assert sgd.with_replacement
