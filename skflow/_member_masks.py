"""The masks of an ensemble's members: made by a layout, or found by its search on the data."""

import numpy as np
from joblib import effective_n_jobs

from ._candidates import CandidateEvaluator
from ._preparation import warn
from ._progress import Progress
from ._search import evolutionary_search, stack_bounds
from ._structures import check_n_conditioning
from .masks import EvolutionarySearch

_MAX_FINALISTS = 8


def make_masks(layout, n_layers, n_conditioning, data, streams):
    """Masks ``(n_members, L, d)`` by a layout; of a search, those that it starts from."""
    n_features = data.table.shape[1]
    # also where the layout ignores it: a wrong value is a mistake all the same
    check_n_conditioning(n_conditioning, n_features)
    if isinstance(layout, EvolutionarySearch):
        layout.validate()
    made = [
        layout.make(
            n_layers,
            n_features,
            n_conditioning=n_conditioning,
            random_state=streams("masks", e),
            **_layout_data(layout, data, e),
        )
        for e in range(len(data.rows))
    ]
    if (np.sum(made, axis=2) != made[0].sum(axis=1)).any():
        raise ValueError(
            "mask_layout gave the members of the ensemble layers that transform different "
            "numbers of features. Let it fix the number in each layer, or set n_estimators=1."
        )
    return np.stack(made)


def _layout_data(layout, data, member):
    """The training rows of a member as a keyword, for layouts that look at them."""
    if not getattr(layout, "needs_data", False):
        return {}
    return {"X": data.table[data.rows[member].to(data.table.device)].cpu().numpy()}


def search_masks(search, starts, histories, data, options, flow_config, streams, verbose):
    """Search for the masks of every member, on its own training rows.

    Parameters
    ----------
    search : EvolutionarySearch
    starts : ndarray of bool, shape (n_members, n_layers, n_features)
        Where the searches start.
    histories : list of (list of SearchRecord or None)
        What they go on from instead, where there is something.
    data : TrainingData
        Of the members.
    options : TrainingOptions
        Of the final training; candidates are trained likewise, but shorter.
    flow_config : dict
        Keywords of ``FlowStack``.
    streams : RandomStreams
    verbose : int

    Returns
    -------
    results : list of SearchResult
    """
    results = []
    for e, (start, history) in enumerate(zip(starts, histories)):
        member = data.member(e)
        evaluate = CandidateEvaluator(
            flow_config,
            options.shortened(search.n_candidate_steps),
            member,
            score=_candidate_score(search, member),
            start=search.candidate_start,
            n_init=search.n_candidate_init,
            n_jobs=search.n_jobs,
        )
        seed = int(streams("search", e).randint(2**31 - 1))
        results.append(_search_member(search, start, history, evaluate, seed, verbose))
    return results


def _search_member(search, start, history, evaluate, seed, verbose):
    progress = Progress(verbose, "search", search.n_iter + 1)
    accepted = [0]

    def show(record):
        accepted[0] += record.accepted
        progress.update(best_cost=record.best_cost, accepted=accepted[0])

    fewest, most = stack_bounds(search.n_candidate_init, effective_n_jobs(search.n_jobs))
    result = evolutionary_search(
        None if history else start,
        evaluate,
        n_iter=search.n_iter,
        seed=seed,
        move=search.move,
        search_space=search.search_space,
        n_offspring=search.n_offspring,
        n_halvings=search.n_halvings,
        n_iter_no_change=search.n_iter_no_change,
        history=history,
        min_stack=fewest,
        max_stack=most,
        callback=show,
    )
    progress.close()
    if result.interrupted and verbose:
        warn(
            f"The structure search was interrupted after {len(result.history) - 1} of "
            f"{search.n_iter} iterations. The best structure found so far is trained; "
            "interrupt again to give up the fit."
        )
    return result


def finalists(search, results, options):
    """The structures to be trained in full ``(n_members, n_finalists, L, d)``.

    For every member the distinct ones of its search with the lowest costs, the best first.
    """
    n_wanted = search.n_finalists
    if n_wanted == "auto":
        n_steps = search.n_iter * search.n_candidate_steps * search.n_candidate_init
        n_wanted = min(_MAX_FINALISTS, max(1, n_steps // options.n_steps))
    chosen = [_distinct(result, n_wanted) for result in results]
    # the members are trained as one stack: as many of each
    return np.stack([masks[: min(map(len, chosen))] for masks in chosen])


def _distinct(result, n_wanted):
    by_cost = sorted(result.history, key=lambda record: record.cost)
    # of equal costs the search accepted the last
    ordered = [result.masks, *(record.masks for record in by_cost)]
    unique = {masks.tobytes(): masks for masks in ordered}  # in the order of the first ones
    return np.stack(list(unique.values())[:n_wanted])


def _candidate_score(search, data):
    has_validation = data.validation_rows is not None
    if search.candidate_score == "auto":
        return "validation" if has_validation else "train_batch"
    if search.candidate_score == "validation" and not has_validation:
        raise ValueError(
            "candidate_score='validation' needs validation rows: set early_stopping=True, or "
            "candidate_score='train_batch'."
        )
    return search.candidate_score
