"""Thin skins over the gateway: the hot HTTP protocol, the same as plain ASGI, the server around both."""
