"""The web page: one file per tab, over the same services as the API."""
