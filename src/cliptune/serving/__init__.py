"""An HTTP server for a tuned model: uploads, batching of concurrent requests, limits."""
