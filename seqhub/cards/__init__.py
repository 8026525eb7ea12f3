"""Records in, Markdown out: no torch, no network, no clock. The same record gives the same bytes."""
