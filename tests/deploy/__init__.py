"""What the repository gives to whoever deploys it."""
