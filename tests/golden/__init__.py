"""Numbers recorded from the official code, and the checker that compares the library with them."""
