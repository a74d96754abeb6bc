"""What the properties of a component are worth: values, secrets, variables, templates.

Source: conversation contract section 3.1.
"""

import re
from collections.abc import Mapping
from typing import Final
from uuid import uuid4

from msgspec import Struct

from parley.config.components.resource import Property, Resource
from parley.config.components.secrets import Secrets, hidden
from parley.config.problem import Problem

_TEMPLATE: Final = re.compile(r"\{(uuid|podName|namespace|appID)\}")


class Surroundings(Struct, frozen=True):
    """What a component is loaded in: the environment, our name among its scopes, the loaded stores by name."""

    env: Mapping[str, str]
    app: str
    namespace: str
    stores: Mapping[str, Secrets]


class Properties:
    """Values by name in lower case. What could not be had is told in ``notes``: it is no mistake, only absent."""

    def __init__(self, resource: Resource, around: Surroundings) -> None:
        self.resource = resource
        self.notes: list[Problem] = []
        self._around = around
        self._places = {one.name.lower(): one.path for one in resource.properties}
        self._values = {one.name.lower(): self._value(one) for one in resource.properties}

    def get(self, *names: str) -> str:
        """The first of these that has a value, "" for none. Names in lower case."""
        return next((value for name in names if (value := self._values.get(name, "").strip())), "")

    def add(self, name: str, message: str, hint: str = "") -> None:
        """A mistake in a property, or in all of them where it is not given."""
        place = self._places.get(name)
        self.resource.add((*place, "value") if place else ("spec", "metadata"), message, hint, key=place is None)

    def _value(self, one: Property) -> str:
        if one.value is not None:
            return _TEMPLATE.sub(lambda found: self._filled(found[1]), one.value)
        if one.secret is not None:
            return self._secret(one, *one.secret)
        return "" if one.variable is None else self._variable(one, one.variable)

    def _filled(self, name: str) -> str:
        around = self._around
        if name == "uuid":
            return str(uuid4())
        if name == "podName":
            return around.env.get("POD_NAME", "")
        return f"{around.namespace}.{around.app}" if name == "namespace" else around.app

    def _secret(self, one: Property, name: str, key: str) -> str:
        wanted = self.resource.store
        store = self._around.stores.get(wanted)
        if not wanted:
            self._note(one, f'"{one.name}" has no value: auth.secretStore names no store for its secret')
        elif store is None:
            hint = f"add a component named {wanted} of type secretstores.local.env or secretstores.local.file"
            self.resource.add(("auth", "secretStore"), f'there is no secret store "{wanted}"', hint)
        else:
            found = store.get(name, key)
            if not found:
                self._note(one, f'"{one.name}" has no value: the store {wanted} has no secret of that name')
            return found
        return ""

    def _variable(self, one: Property, name: str) -> str:
        env = self._around.env
        listed = env.get("DAPR_ENV_KEYS", "").split()
        if not name or " " in name or hidden(name) or (listed and name not in listed):
            self._note(one, f'"{one.name}" has no value: the variable of envRef may not be read')
            return ""
        return env.get(name, "")

    def _note(self, one: Property, message: str) -> None:
        self.notes.append(self.resource.report.document.problem(one.path, message))
