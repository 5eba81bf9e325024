"""A sample database to try everything on."""
