"""The admin's front page: health, traffic, rate limits, Redis and the database at a glance."""
