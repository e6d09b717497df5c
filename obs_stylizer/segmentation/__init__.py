"""People in a frame, and the room behind them: masks, and two pictures put together by one."""
