"""From a connection to a view and back: connection, handler, admission, request body and sending."""
