"""What restored checkpoints show: pictures, classes, words, shifts, reliance on backgrounds."""
