"""What the speed is held against: the same work written by hand for this one case, as lean as it can be."""
