"""A preset applied to frames: the one piece that live and render share."""
