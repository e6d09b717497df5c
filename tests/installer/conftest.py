import sys
from pathlib import Path

# The installer is no package: Python finds its modules beside the started script.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "installer"))
