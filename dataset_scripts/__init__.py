"""A data release: `build`, `publish` and `verify`, run in this order; `cards/` holds what was released."""
