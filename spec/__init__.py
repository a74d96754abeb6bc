"""From OpenAI's own Python package to this project's description of the HTTP surface and its models. Development only.

``make spec`` runs it, docs/openapi.md explains it. Nothing here is part of what is installed.
"""
