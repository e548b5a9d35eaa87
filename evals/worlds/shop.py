"""A web shop: products, orders, refunds."""

from evals.case import Json
from evals.worlds.world import Tool, World, WorldError, find, integer, number, text


def _search(state: Json, query: str, max_price: float | None = None) -> Json:
    fits = [
        row
        for row in state["products"]
        if query.casefold() in row["name"].casefold() and (max_price is None or row["price"] <= max_price)
    ]
    return {"products": fits}


def _order(state: Json, product: str, quantity: int = 1) -> Json:
    row = find(state["products"], "product", name=product)
    if row["stock"] < quantity:
        raise WorldError(f"only {row['stock']} of {row['name']} left")
    row["stock"] -= quantity
    order = {"id": f"A{len(state['orders']) + 1}", "product": row["name"], "quantity": quantity, "status": "placed"}
    state["orders"].append(order)
    return dict(order)


def _status(state: Json, order_id: str) -> Json:
    return dict(find(state["orders"], "order", id=order_id))


def _cancel(state: Json, order_id: str) -> Json:
    order = find(state["orders"], "order", id=order_id)
    if order["status"] != "placed":
        raise WorldError(f"order {order_id} is {order['status']} and can't be cancelled")
    order["status"] = "cancelled"
    return dict(order)


def _refund(state: Json, order_id: str, reason: str) -> Json:
    order = find(state["orders"], "order", id=order_id)
    if order["status"] != "delivered":
        raise WorldError(f"order {order_id} is {order['status']}, not delivered")
    order["status"] = "refunded"
    return {"refunded": order["id"], "reason": reason}


SHOP = World(
    "shop",
    (
        Tool(
            "search_products",
            "Find products by a word of their name.",
            {"query": text("Word of the name"), "max_price": number("Highest price in euros")},
            _search,
            ("query",),
        ),
        Tool(
            "place_order",
            "Order a product.",
            {"product": text("Name of the product"), "quantity": integer("How many", default=1, minimum=1)},
            _order,
            ("product",),
        ),
        Tool("order_status", "Status of an order.", {"order_id": text("Like A1")}, _status),
        Tool("cancel_order", "Cancel an order that is not shipped.", {"order_id": text("Like A1")}, _cancel),
        Tool(
            "refund_order",
            "Refund a delivered order.",
            {"order_id": text("Like A1"), "reason": text("Why", enum=["damaged", "wrong item", "not needed"])},
            _refund,
        ),
    ),
    {
        "products": [
            {"name": "blue kettle", "price": 30, "stock": 5},
            {"name": "red kettle", "price": 45, "stock": 1},
            {"name": "desk lamp", "price": 25, "stock": 10},
            {"name": "wool blanket", "price": 60, "stock": 0},
        ],
        "orders": [
            {"id": "A1", "product": "desk lamp", "quantity": 1, "status": "placed"},
            {"id": "A2", "product": "blue kettle", "quantity": 2, "status": "shipped"},
            {"id": "A3", "product": "red kettle", "quantity": 1, "status": "delivered"},
        ],
    },
)
