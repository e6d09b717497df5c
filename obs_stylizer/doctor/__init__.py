"""What is right and wrong with this machine, seen by trying it, with a remedy for each."""
