"""Commands and the control surfaces that send them."""
