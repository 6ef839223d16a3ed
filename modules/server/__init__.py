"""The server process: entry point, the door before page and API, logins, limits, and the application behind them."""
