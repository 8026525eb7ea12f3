"""Records and arrays in, PNG files out. Matplotlib's object interface only: no global state, no window."""
