"""What goes to people elsewhere because of an alarm."""
