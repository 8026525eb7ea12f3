"""Web pages of the Hub: rendered on the server, usable without JavaScript, with the permissions of the API."""
