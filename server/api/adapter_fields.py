"""llama-server's own field for adapters, `lora`, beside the `model` that chooses one here.

There it is a list of numbers and scales, all adapters act at once, and what is not listed is off. Here a request is
answered by one adapter, with the scale it is served with; anything else is refused, not approximated.
"""

from pydantic import Field

from server.api.errors import ApiError, invalid
from server.api.sampling_fields import Wire
from server.api.services import Services


class LoraIn(Wire):
    id: int | str
    """The adapter's place in the list of `/v1/adapters`, from 0, or its name."""
    scale: float = Field(allow_inf_nan=False)


class AdapterFields(Wire):
    lora: list[LoraIn] | None = Field(default=None, max_length=64)
    """Ours: the adapter for this request; what is not listed, or listed with the scale 0, is off."""


def chosen_adapter(services: Services, model: str, lora: list[LoraIn] | None) -> str | None:
    """The name of the adapter that answers; None for the base model. Raises: ApiError."""
    named = services.adapter_of(model)
    if lora is None:
        return named
    listed = {_name(services, entry.id, index): (entry, index) for index, entry in enumerate(lora)}
    wanted = {name: found for name, found in listed.items() if found[0].scale}
    if named is not None and set(wanted) != {named}:
        raise invalid(f"'model' names the adapter '{named}' and 'lora' does not; leave one of them out.", "lora")
    if len(wanted) > 1:
        raise invalid("A request is answered by one adapter; give one of them a scale that is not 0.", "lora")
    for name, (entry, index) in wanted.items():
        served = next(adapter.scale for adapter in services.engine.adapters if adapter.name == name)
        if entry.scale != served:
            message = f"'{name}' is served with the scale {served:g}; serve it a second time with {entry.scale:g}."
            raise invalid(message, f"lora[{index}].scale")
        return name
    return None


def _name(services: Services, given: int | str, index: int) -> str:
    adapters = [adapter.name for adapter in services.engine.adapters]
    if isinstance(given, int):
        if 0 <= given < len(adapters):
            return adapters[given]
    elif (name := services.aliases.resolve(given)) in adapters:
        return name
    message = f"There is no adapter {given!r}; see /v1/adapters."
    raise ApiError(404, message, param=f"lora[{index}].id", code="adapter_not_found")
