"""The panel and the HTTP API: one more control surface."""
