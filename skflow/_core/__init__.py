"""What every room may use: checks, warnings, surroundings, files, random streams."""
