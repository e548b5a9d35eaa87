"""Trees over plain characters that have rules, as trees over the inside of a JSON string."""

from grammars.texts import spelled
from grammars.tree import Choice, Node, Repeat, Rule, Sequence, choice, repeat, sequence


def spelled_tree(node: Node) -> Node:
    """The same texts, each character as json.dumps writes it."""
    return _Speller().spell(node)


class _Speller:
    def __init__(self) -> None:
        self._rules: dict[Rule, Rule] = {}

    def spell(self, node: Node) -> Node:
        match node:
            case Rule():
                return self._rule(node)
            case Sequence(items):
                return sequence(*map(self.spell, items))
            case Choice(options):
                return choice(*map(self.spell, options))
            case Repeat(item, low, high):
                return repeat(self.spell(item), low, high)
            case _:
                return spelled(node)

    def _rule(self, rule: Rule) -> Rule:
        if rule not in self._rules:
            self._rules[rule] = Rule(rule.name)
            self._rules[rule].define(self.spell(rule.body))
        return self._rules[rule]
