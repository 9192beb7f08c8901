"""Search for settings with Optuna, on validation images."""
