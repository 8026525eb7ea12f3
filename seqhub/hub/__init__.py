"""Client side of a Hub, on top of huggingface_hub: push a folder to a repository and fetch it again."""
