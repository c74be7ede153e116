"""What the package offers to tests of its users."""
