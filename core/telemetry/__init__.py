"""What the service records about itself: logs, metrics and traces."""
