"""The steps of a request before and after its view, one file per step, in the order of settings.MIDDLEWARE."""
