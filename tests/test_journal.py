"""The journal of a search: nothing but the stack that was trained is lost, wherever it breaks."""

import os
from functools import partial

import numpy as np
import pytest
from kill_search import LoggedStacks, difference, gone_on, killed_when, search, wait_for

from skflow import CouplingFlowDensity, StructureSearchFlow, masks
from skflow._structure.journal import SearchJournal, fingerprint
from skflow._structure.search import SearchRecord


def records(n):
    """Records, of which every other one has been accepted."""
    rng = np.random.default_rng(0)
    found = []
    for t in range(n):
        cost = float(rng.normal()) if t != 3 else np.inf
        structure = masks.random(2, 5, random_state=t)
        found.append(SearchRecord(t, structure, cost, t % 2 == 0, cost / 3))
    return found


def written(folder, entries, name="a"):
    journal = SearchJournal(folder, name)
    for record in entries:
        journal.append(record)
    return journal


def assert_same(found, expected):
    assert len(found) == len(expected)
    for record, record_ in zip(found, expected):
        assert record._replace(masks=None) == record_._replace(masks=None)
        np.testing.assert_array_equal(record.masks, record_.masks)
        assert record.masks.dtype == bool


def test_what_is_written_is_read(tmp_path):
    expected = records(6)
    journal = written(tmp_path / "new" / "folder", expected)
    assert_same(journal.read(), expected)
    assert_same(SearchJournal(tmp_path / "new" / "folder", "a").read(), expected)
    assert SearchJournal(tmp_path / "new" / "folder", "b").read() == []


def test_records_of_another_process_at_the_same_search_are_passed_over(tmp_path):
    expected = records(3)
    journal = written(tmp_path, expected[:2])
    written(tmp_path, [expected[0], expected[1], expected[2]])
    assert_same(journal.read(), expected)


RUBBISH = (b"null", b'{"iteration": 2}', b"[1]", b"\xff\xfe", b"", b"[" * 100000, b"\0" * 9)


@pytest.mark.parametrize(
    ("damage", "number"),
    [
        (lambda lines, other: [other[0], *lines[1:]], 1),
        (lambda lines, other: [lines[0], *lines[2:]], 2),
        (lambda lines, other: [*lines[:2], b"?" + lines[2], lines[3]], 3),
        *[(lambda lines, other, line=line: [*lines, line + b"\n"], 5) for line in RUBBISH],
    ],
)
def test_damage_is_a_sentence_that_tells_what_to_do(damage, number, tmp_path):
    expected = records(4)
    journal, other = (written(tmp_path, expected, name) for name in "ab")
    lines, others = (each.path.read_bytes().splitlines(keepends=True) for each in (journal, other))
    journal.path.write_bytes(b"".join(damage(lines, others)))
    told = rf"checkpoint='.*': line {number} of '.*jsonl' is not what .* this line and all that"
    with pytest.raises(ValueError, match=told):
        journal.read()
    journal.path.write_bytes(b"".join(lines[: number - 1]))
    assert_same(SearchJournal(tmp_path, "a").read(), expected[: number - 1])


def test_a_flipped_bit_is_a_sentence_or_changes_nothing(tmp_path):
    """The end of the last line makes it a torn one: its record is found once more."""
    expected = records(2)
    journal = written(tmp_path, expected)
    whole = journal.path.read_bytes()
    n_bits = 8 * len(whole)
    places = np.random.default_rng(0).choice(n_bits - 8, 1000, replace=False)
    for place in [*places, *range(n_bits - 8, n_bits)]:
        altered = bytearray(whole)
        altered[place // 8] ^= 1 << place % 8
        journal.path.write_bytes(altered)
        if place // 8 == len(whole) - 1:
            assert_same(journal.read(), expected[:1])
            continue
        with pytest.raises(ValueError, match=r"line \d of .* is not what the search wrote"):
            journal.read()


def test_every_truncation_is_an_earlier_state(tmp_path):
    expected = records(3)
    path = written(tmp_path, expected).path
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        n_whole = whole[:end].count(b"\n")
        journal = SearchJournal(tmp_path, "a")
        assert_same(journal.read(), expected[:n_whole])


def test_a_full_disk_is_a_sentence_and_loses_one_record(tmp_path):
    """A limit on the size of files stands for the disk: a part is written, then an error."""
    resource = pytest.importorskip("resource")
    expected = records(4)
    journal = written(tmp_path, expected[:2])
    size = journal.path.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, limits[1]))
    try:
        with pytest.raises(OSError, match=r"iteration 2 .* written to '.*jsonl' \(.*Make room"):
            journal.append(expected[2])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert journal.path.stat().st_size == size + 20
    assert_same(journal.read(), expected[:2])
    journal = written(tmp_path, expected[2:])
    assert_same(journal.read(), expected)


def test_a_journal_that_begins_later(tmp_path):
    expected = records(6)
    assert_same(written(tmp_path, expected[4:]).read(n_before=4), expected[4:])


def test_a_folder_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"checkpoint='.*file' cannot be used: .*folder"):
        SearchJournal(tmp_path / "file", "a")


def test_fingerprints_tell_everything_apart():
    parts = [(1,), (1.0,), ("1",), (np.ones(2),), (np.ones(2, np.float32),), (np.ones((1, 2)),)]
    parts += [(1, 2), (12,), (np.ones(1), np.ones(1)), (None,), ()]
    assert len({fingerprint(*part) for part in parts}) == len(parts)
    assert fingerprint(np.arange(6).reshape(2, 3).T) == fingerprint(
        np.array([[0, 3], [1, 4], [2, 5]])
    )


# ---- in an estimator


def test_the_same_call_goes_on(tmp_path):
    whole = search(None, 20)
    first = search(tmp_path, 8)
    assert len(first.search_history_) == 9
    longer, left = gone_on(tmp_path, 20)
    assert difference(longer, whole) < 1e-4
    assert sum(left) < 20
    # and where nothing is left, nothing is trained; a smaller limit gives the shorter search
    for n_search_iter, expected in [(20, whole), (8, first)]:
        again, left = gone_on(tmp_path, n_search_iter)
        assert difference(again, expected) < 1e-4 and left == []


def test_searches_share_a_folder(tmp_path):
    X = np.random.default_rng(0).normal(size=(60, 4))
    quick = {"n_iter": 3, "n_candidate_steps": 2, "checkpoint": os.fspath(tmp_path)}
    count = [0]

    def n_new_after_fit(rows, random_state=0, n_estimators=1, **changed):
        layout = masks.EvolutionarySearch(**{**quick, **changed})
        CouplingFlowDensity(
            2,
            mask_layout=layout,
            n_estimators=n_estimators,
            max_iter=1,
            component_weight=0,
            random_state=random_state,
        ).fit(rows)
        before, count[0] = count[0], len(list(tmp_path.iterdir()))
        return count[0] - before

    assert n_new_after_fit(X) == 1
    # what only ends a search, or where it runs, makes no other
    assert n_new_after_fit(X, n_iter=4, top_k=1, max_time=100, n_iter_no_change=9) == 0
    assert n_new_after_fit(X + np.eye(60, 4)) == 1
    assert n_new_after_fit(X, random_state=1) == 1
    assert n_new_after_fit(X, n_estimators=2) == 1  # the first member has its journal
    for changed in (
        {"n_candidate_steps": 3},
        {"move": "swap"},
        {"initial_layout": "random"},
        {"candidate_score": "train_batch"},
        {"search_space": "free"},
    ):
        assert n_new_after_fit(X, **changed) == 1, changed


def test_a_seed_that_will_not_come_again_is_an_error(tmp_path):
    flow = StructureSearchFlow(checkpoint=tmp_path, random_state=None)
    with pytest.raises(ValueError, match=r"checkpoint='.*' .*random_state=None.*an integer"):
        flow.fit(np.random.default_rng(0).normal(size=(60, 4)))


def test_warm_start_goes_on_in_a_journal_of_its_own(tmp_path):
    X = np.random.default_rng(0).normal(size=(60, 4))

    def flow(**params):
        quick = {"n_search_iter": 4, "n_candidate_steps": 2, "max_iter": 1, "component_weight": 0}
        return StructureSearchFlow(2, random_state=0, **quick, **params)

    whole = flow(warm_start=True).fit(X).set_params(n_search_iter=9).fit(X)
    for _ in range(2):
        kept = flow(warm_start=True, checkpoint=tmp_path).fit(X)
        kept.set_params(n_search_iter=9).fit(X)
        np.testing.assert_array_equal(kept.score_samples(X), whole.score_samples(X))
        assert len(list(tmp_path.iterdir())) == 2


def test_a_killed_search_loses_the_stack_that_was_trained(tmp_path, n_stacks=3):
    whole, planned = gone_on(tmp_path / "whole")
    wait = partial(wait_for, LoggedStacks(tmp_path / "stacks"), n_stacks)
    begun = killed_when(wait, tmp_path)
    assert n_stacks <= len(begun) < len(planned)
    flow, left = gone_on(tmp_path)
    assert difference(flow, whole) < 1e-5
    assert sum(begun) + sum(left) - sum(planned) <= begun[-1]
