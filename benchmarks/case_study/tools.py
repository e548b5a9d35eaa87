"""The tool set of the case study: a café's till. No model has seen it, and the example tools have nothing like it."""

from training.tools import Tool, ToolParameter

_DRINKS = ("espresso", "latte", "mocha", "cocoa")
_ROOMS = ("garden", "gallery", "cellar")
_TIMES = ("11:00", "12:30", "14:15", "16:00", "17:45", "19:30")

TOOLS = [
    Tool(
        "order_drink",
        "Order a drink.",
        [
            ToolParameter("drink", enum=_DRINKS),
            ToolParameter("size", enum=("small", "medium", "large")),
            ToolParameter("count", "integer", examples=range(1, 10)),
        ],
        requests=[
            "{count} {size} {drink}, please",
            "I'd like {count} {drink} in {size}",
            "Can I get {count} x {drink}, size {size}?",
        ],
        simulate=lambda drink, count, **_: {"ordered": f"{count} {drink}"},
    ),
    Tool(
        "book_table",
        "Book a table.",
        [
            ToolParameter("people", "integer", examples=range(1, 10)),
            ToolParameter("room", enum=_ROOMS),
            ToolParameter("time", examples=_TIMES),
        ],
        requests=[
            "A table for {people} in the {room} at {time}",
            "We are {people}: is the {room} free at {time}?",
            "Book the {room} at {time} for {people} people",
        ],
        simulate=lambda room, **_: {"booked": room},
    ),
    Tool(
        "cancel_table",
        "Cancel a booking.",
        [ToolParameter("room", enum=_ROOMS), ToolParameter("time", examples=_TIMES)],
        requests=[
            "Cancel the {room} at {time}",
            "We can't come to the {room} at {time}",
            "Please drop our {time} booking in the {room}",
        ],
        simulate=lambda **_: {"cancelled": True},
    ),
]
