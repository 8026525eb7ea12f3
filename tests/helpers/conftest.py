collect_ignore = ["route_requests.py"]  # a script for a process of its own; doctest would import it here
