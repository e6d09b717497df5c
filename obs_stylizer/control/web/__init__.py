"""The panel and the HTTP API: one more door to the commands."""
