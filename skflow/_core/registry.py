"""Tables from the names that a user gives to what they stand for."""


class Registry(dict):
    """A dict of the values that an argument may have; another one is an error that lists them.

    What is to be known by a name (a coupling, a solver, ...) is added by an entry in its table.
    """

    def __init__(self, argument, entries):
        super().__init__(entries)
        self.argument = argument

    def __missing__(self, name):
        known = ", ".join(map(repr, self))
        raise ValueError(f"{self.argument}={name!r} is not known. Use one of {known}.")
