"""Documentation: pages that are run by a test, and parts that are rendered from what was measured."""
