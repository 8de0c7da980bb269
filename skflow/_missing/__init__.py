"""Missing cells: any columns of a density given any others, and tables with missing values."""
