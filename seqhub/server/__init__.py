"""The embedded Hub: repositories over HTTP for unmodified Hugging Face clients. It knows no task and no model."""
