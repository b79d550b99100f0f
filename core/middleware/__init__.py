"""The middleware, one file per step. settings.MIDDLEWARE has the order and the reason for each position."""
