"""What loggers share: their interface, the watcher that reports to them, pictures of training images."""
