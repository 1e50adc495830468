"""A trained agent at work: it chooses what to show to people whom it has never met, and learns each one's taste.

    adaptax train rl2 bandit --num-arms 5 --num-pulls 50
    python examples/deploy.py runs/rl2-bandit-1

Nothing of training is needed here, and no environment of adaptax: the loop below is yours.
"""

import argparse
import random

from adaptax import Agent


class Visitor:
    """Somebody who likes each of the items with a probability that nobody knows: put your own system here."""

    def __init__(self, items: int, luck: random.Random):
        self._luck = luck
        self.tastes = [luck.random() for _ in range(items)]

    def likes(self, item: int) -> bool:
        """Show an item."""
        return self._luck.random() < self.tastes[item]


def main() -> None:
    """Serve some visitors, a task each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="the directory of a run on the problem bandit")
    parser.add_argument("--items", type=int, default=5, help="as many as the run had arms; default %(default)s")
    parser.add_argument("--rounds", type=int, default=50, help="at most the run's pulls; default %(default)s")
    parser.add_argument("--visitors", type=int, default=20, help="default %(default)s")
    options = parser.parse_args()
    agent, luck = Agent.load(options.run), random.Random(0)
    liked, best = [0.0] * options.rounds, 0.0
    for _ in range(options.visitors):
        visitor = Visitor(options.items, luck)
        agent.begin()  # a new task: forget the last visitor
        for number in range(options.rounds):
            item = int(agent.act(observation=[]))  # a bandit shows nothing; pass what your agent was trained to see
            reward = float(visitor.likes(item))
            agent.observe(reward=reward, episode_over=True)  # in a bandit each pull is an episode
            liked[number] += reward / options.visitors
        best += max(visitor.tastes) / options.visitors
    tenth = max(1, options.rounds // 10)
    print(f"liked, of {options.visitors} visitors whom the agent had never met:")
    print(f"  first {tenth} rounds  {sum(liked[:tenth]) / tenth:.2f}")
    print(f"  last {tenth} rounds   {sum(liked[-tenth:]) / tenth:.2f}")
    print(f"  their favourites  {best:.2f}")


if __name__ == "__main__":
    main()
