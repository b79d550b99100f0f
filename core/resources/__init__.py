"""What every resource is made of: model, store, lists, search, cache and idempotency."""
