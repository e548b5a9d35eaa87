"""A travel agency: flights and hotels."""

from evals.case import Json
from evals.worlds.world import Tool, World, WorldError, find, integer, text


def _flights(state: Json, origin: str, destination: str) -> Json:
    wanted = (origin.casefold(), destination.casefold())
    return {"flights": [f for f in state["flights"] if (f["from"].casefold(), f["to"].casefold()) == wanted]}


def _book_flight(state: Json, flight: str, passengers: int = 1, seat_class: str = "economy") -> Json:
    row = find(state["flights"], "flight", id=flight)
    if row["seats"] < passengers:
        raise WorldError(f"flight {row['id']} has {row['seats']} seats left")
    row["seats"] -= passengers
    state["bookings"].append({"flight": row["id"], "passengers": passengers, "class": seat_class})
    return {"booked": row["id"], "total": row["price"] * passengers}


def _hotels(state: Json, city: str) -> Json:
    return {"hotels": [hotel for hotel in state["hotels"] if hotel["city"].casefold() == city.casefold()]}


def _book_hotel(state: Json, hotel: str, nights: int) -> Json:
    row = find(state["hotels"], "hotel", name=hotel)
    if not row["free"]:
        raise WorldError(f"{row['name']} is full")
    state["bookings"].append({"hotel": row["name"], "nights": nights})
    return {"booked": row["name"], "total": row["price"] * nights}


TRAVEL = World(
    "travel",
    (
        Tool(
            "search_flights",
            "List flights between two cities.",
            {"origin": text("City to leave from"), "destination": text("City to fly to")},
            _flights,
        ),
        Tool(
            "book_flight",
            "Book seats on a flight.",
            {
                "flight": text("Flight number, like TR10"),
                "passengers": integer("Seats", default=1, minimum=1),
                "seat_class": text("Class", enum=["economy", "business"], default="economy"),
            },
            _book_flight,
            ("flight",),
        ),
        Tool("search_hotels", "List hotels in a city.", {"city": text("City")}, _hotels),
        Tool(
            "book_hotel",
            "Book a room.",
            {"hotel": text("Name of the hotel"), "nights": integer("Nights", minimum=1)},
            _book_hotel,
        ),
    ),
    {
        "flights": [
            {"id": "TR10", "from": "Rome", "to": "Oslo", "price": 120, "seats": 4},
            {"id": "TR11", "from": "Rome", "to": "Oslo", "price": 90, "seats": 0},
            {"id": "TR20", "from": "Lima", "to": "Quito", "price": 200, "seats": 9},
        ],
        "hotels": [
            {"name": "Fjord Inn", "city": "Oslo", "price": 80, "free": True},
            {"name": "Grand Oslo", "city": "Oslo", "price": 210, "free": False},
            {"name": "Casa Verde", "city": "Quito", "price": 55, "free": True},
        ],
        "bookings": [],
    },
)
