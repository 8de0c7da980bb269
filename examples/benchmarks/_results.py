"""Results of a benchmark in a CSV file, line by line: a run goes on where one has stopped."""

import traceback
from pathlib import Path

import pandas as pd
from likelihood import Progress


class ResultsFile:
    """The lines of a file, one for each combination that was measured.

    Parameters
    ----------
    path : str or path
    key : list of str
        Columns that name a combination.
    fields : list of str
        All columns, those of the key and ``error`` among them.
    """

    def __init__(self, path, key, fields):
        self.path, self.key, self.fields = Path(path), key, fields

    def read(self):
        """All lines, the last one of each combination."""
        if not self.path.exists():
            return pd.DataFrame(columns=self.fields)
        return pd.read_csv(self.path).drop_duplicates(self.key, keep="last")

    def append(self, row):
        line = pd.DataFrame([row]).reindex(columns=self.fields)
        line.to_csv(self.path, mode="a", header=not self.path.exists(), index=False)

    def complete(self, combinations, measure, known=lambda *job: {}):
        """Measure the combinations that have no result yet, one after another.

        ``measure(*combination)`` returns the columns that it fills and a word on them. Where it
        raises, that is noted, the others go on, and the next run tries this one again.
        ``known(*combination)`` returns columns that are filled in either case.
        """
        results = self.read()
        done = set(results[results.error.isna()][self.key].itertuples(index=False, name=None))
        jobs = [job for job in combinations if job not in done]
        progress = Progress(len(jobs))
        for job in jobs:
            progress.start(", ".join(f"{name} {value}" for name, value in zip(self.key, job)))
            row = known(*job)
            try:
                measured, said = measure(*job)
            except Exception as error:
                traceback.print_exc()
                said = f"{type(error).__name__}: {error}"
                measured = {"error": said}
            self.append(dict(zip(self.key, job)) | row | measured)
            progress.finish([said])
