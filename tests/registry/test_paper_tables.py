from adaptax.registry.paper_tables import TABLES

PAPER = {
    "duan2016-bandits": {
        "10x5": 6.7,
        "10x10": 6.7,
        "10x50": 6.8,
        "100x5": 78.7,
        "100x10": 83.5,
        "100x50": 84.9,
        "500x5": 401.6,
        "500x10": 432.5,
        "500x50": 438.9,
    },
    "duan2016-mdps": {"10": 156.2, "25": 445.7, "50": 936.1, "75": 1428.8, "100": 1913.7},
}


def test_the_papers_figures():
    for name, figures in PAPER.items():
        assert {cell: c.published for cell, c in TABLES[name].cells.items()} == figures


def test_cells_train_on_what_their_names_say():
    for name, cell in TABLES["duan2016-bandits"].cells.items():
        assert name == f"{cell.problem['num_pulls']}x{cell.problem['num_arms']}"
    for name, cell in TABLES["duan2016-mdps"].cells.items():
        assert name == str(cell.problem["num_episodes"])


def test_rows_are_in_the_right_columns():
    # Random gets half of the pulls, and 10 per episode of the MDPs; nobody else comes near it.
    for name, cell in TABLES["duan2016-bandits"].cells.items():
        assert abs(cell.published_agents["random"] / cell.problem["num_pulls"] - 0.5) < 0.011, name
        assert cell.published_agents["gittins"] <= cell.ceiling + 0.9
    for cell in TABLES["duan2016-mdps"].cells.values():
        assert abs(cell.published_agents["random"] / cell.problem["num_episodes"] - 10) < 0.02
