"""The OpenAPI document, built from the contracts of the routes."""
