"""What is drawn with concepts erased, restored, protected and unlisted, for every method."""
