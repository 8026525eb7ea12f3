"""What has been released: a record and a card for each model, and README.md, the leaderboard."""
