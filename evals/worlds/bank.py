"""A bank: accounts and transfers."""

from evals.case import Json
from evals.worlds.world import Tool, World, WorldError, find, number, text

_ACCOUNTS = ["checking", "savings"]


def _balance(state: Json, account: str) -> Json:
    return dict(find(state["accounts"], "account", name=account))


def _transfer(state: Json, amount: float, recipient: str, account: str = "checking") -> Json:
    source = find(state["accounts"], "account", name=account)
    if source["balance"] < amount:
        raise WorldError(f"{account} holds only {source['balance']}")
    source["balance"] -= amount
    if recipient in _ACCOUNTS:
        find(state["accounts"], "account", name=recipient)["balance"] += amount
    state["transfers"].append({"amount": amount, "to": recipient.casefold()})
    return {"transferred": amount, "left": source["balance"]}


def _transfers(state: Json, recipient: str) -> Json:
    return {"transfers": [row for row in state["transfers"] if row["to"] == recipient.casefold()]}


BANK = World(
    "bank",
    (
        Tool("get_balance", "Balance of an account.", {"account": text("Account", enum=_ACCOUNTS)}, _balance),
        Tool(
            "transfer_money",
            "Send money to a person, or to another account of one's own.",
            {
                "amount": number("Euros", exclusiveMinimum=0),
                "recipient": text("A person's name, or checking or savings"),
                "account": text("Where from", enum=_ACCOUNTS, default="checking"),
            },
            _transfer,
            ("amount", "recipient"),
        ),
        Tool("list_transfers", "Earlier transfers to a person.", {"recipient": text("Name")}, _transfers),
    ),
    {
        "accounts": [{"name": "checking", "balance": 500}, {"name": "savings", "balance": 2000}],
        "transfers": [{"amount": 40, "to": "mira"}, {"amount": 15, "to": "tom"}],
    },
)
