"""One whole turn of the wheel without a browser: the same services, the same trainer over HTTP, demo people."""
