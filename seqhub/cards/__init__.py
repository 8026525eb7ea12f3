"""Cards in Markdown, rendered from records without torch, network or clock. Equal records give equal bytes."""
