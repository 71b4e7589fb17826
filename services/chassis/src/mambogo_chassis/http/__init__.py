"""The HTTP side of a service: what happens around an operation, and what operations are written with.

`app.create_app` puts it together. Authentication is `mambogo_chassis.auth`, calls to others are
`mambogo_chassis.client`.
"""
