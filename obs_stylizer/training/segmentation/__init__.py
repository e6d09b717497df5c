"""Training of the network that tells people from the room behind them."""
