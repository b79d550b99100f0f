"""Builds the OpenAPI document from the contracts of the routes."""
