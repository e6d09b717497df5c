"""Allow ``python -m obs_stylizer``."""

from obs_stylizer.cli.main import main

if __name__ == "__main__":
    main()
