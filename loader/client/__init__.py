"""The way to the API over HTTP: the only folder of the load side that imports the HTTP library."""
