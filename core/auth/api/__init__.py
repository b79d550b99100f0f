"""/v1/auth: parse, call the services, answer. Every answer here is about somebody and is not to be stored."""
