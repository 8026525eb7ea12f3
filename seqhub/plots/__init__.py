"""Figures as PNG files, drawn from records and arrays. Uses only Matplotlib's object interface: no global state."""
