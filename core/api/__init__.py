"""The API on django-ninja, and the contract of each route for the OpenAPI document. `items/api.py` is an example."""
