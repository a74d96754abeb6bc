"""OpenAI's surface as data: the document, the table of operations, models of request bodies. All of it is generated.

Source: spec/ in the repository (docs/openapi.md). Nothing is read or imported before it is asked for.
"""
