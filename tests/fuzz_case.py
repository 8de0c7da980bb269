"""A case of the fuzzer: what is common to all, whatever is drawn."""

import traceback
import warnings


class Case:
    """Something to be fitted, drawn from a number; a subclass says what, and checks the result.

    ``check`` returns what is wrong, or None; ``told`` says what was drawn.
    """

    def run(self):
        """``(outcome, finding)``; the finding is None where all is as it should be."""
        leaked = []

        def show(message, category, filename, lineno, file=None, line=None):
            frames = traceback.extract_stack()
            if not any(frame.filename.endswith("skflow/_core/checks.py") for frame in frames):
                leaked.append(f"{category.__name__}: {message} ({filename}:{lineno})")

        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = show
            try:
                finding = self.check()
                outcome = "result"
            except (ValueError, TypeError) as error:
                outcome, finding = "error", unclear(error)
            except Exception as error:
                outcome, finding = "error", described(error)
        if finding is None and leaked:
            finding = f"leaked {leaked[0]}"
        return outcome, finding


def unclear(error):
    """What is wrong with an error of the right type, or None."""
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    ours = any(part in last for part in ("/skflow/", "/sklearn/"))
    return None if ours and len(str(error).split()) >= 4 else described(error)


def described(error):
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{last.filename.rsplit('site-packages/', 1)[-1]}:{last.lineno}"
    return f"{type(error).__name__}: {str(error)[:300]} ({where})"
