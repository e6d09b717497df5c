"""Training, evaluation and export of generators. Needs the ``training`` extra (torch)."""
