"""Records of runs, and the tables, plots and page made from them."""
