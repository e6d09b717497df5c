"""Commands and the adapters that send them."""
