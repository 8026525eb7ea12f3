"""The embedded Hub: repositories over HTTP for unmodified Hugging Face clients. Independent of tasks and models."""
