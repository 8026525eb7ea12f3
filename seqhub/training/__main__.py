"""Entry point of `accelerate launch -m seqhub.training qrsu/hard`, the same command as `seqhub train qrsu/hard`."""

from seqhub.cli.errors import script
from seqhub.cli.train import train_command
from seqhub.training.launch import is_first_to_report

if __name__ == "__main__":
    script(train_command, is_first_to_report)
