"""What a user could pick instead, doing the same work."""
