"""``parley openapi``: the OpenAPI 3.1 document that a server of this version has at /openapi.json."""

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as one line, as it is served.")
def openapi(as_json: bool) -> None:
    """Print the OpenAPI 3.1 document that is served at /openapi.json."""
    from msgspec import json

    from parley.api.surface import document

    click.echo(document() if as_json else json.format(document(), indent=2))
