"""What README and docs say, where it can be tested: counts, names, options, links, and code that runs."""

import inspect
import re
import shlex
import tomllib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.errors import ConfigError
from adaptax.experiment.tables import tables
from adaptax.registry.presets import named_presets, settings_for
from adaptax.registry.registry import ALGORITHMS, CLASSICAL, LEARNERS, PROBLEMS, load_target
from adaptax.runs.options import TrainOptions
from tests import families
from tests.cli.conftest import run

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def section(title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)[1]


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def refused():
    """Pairs of an algorithm and a problem that are refused with default settings, and why."""
    found = {}
    for algorithm in LEARNERS:
        for problem in PROBLEMS:
            try:
                ours, theirs = settings_for(algorithm, problem)
                ours.check_problem(theirs)
            except ConfigError as error:
                found[algorithm, problem] = str(error)
    return found


def test_how_many_pairs_are_refused_is_what_the_readme_says():
    said = re.search(
        r"all (\d+), and (\d+) classical.* Of the (\d+) pairs.* (\d+) are\s", section("Where to begin"), re.S
    )
    pairs = refused()
    assert [int(x) for x in said.groups()] == [
        len(LEARNERS), len(CLASSICAL), len(LEARNERS) * len(PROBLEMS), len(pairs)
    ]  # fmt: skip
    for (algorithm, problem), why in pairs.items():
        if problem != "two-step":
            assert "discrete states" in why if algorithm in ("q-learning", "sarsa") else algorithm == "dqn"
        assert re.search(r"Try ", why), why  # what to do


def test_where_to_begin_names_every_algorithm_and_no_other():
    named = set(re.findall(r"`([a-z0-9-]+)`", section("Where to begin").split("`adaptax list`")[0]))
    assert named == set(LEARNERS)


def test_who_is_evaluated_beside_a_bandit_s_agent_on_how_many_tasks():
    text = section("Two commands")
    names = {
        "random": "random", "epsilon-greedy": "ε-greedy", "greedy": "greedy", "ucb1": "UCB1",
        "thompson": "Thompson sampling", "optimistic-thompson": r"optimistic\s+Thompson sampling", "gittins": "Gittins",
    }  # fmt: skip
    assert set(PROBLEMS["bandit"].baselines) == set(names)
    assert all(re.search(name, text) for name in names.values())
    assert f"{TrainOptions().eval_tasks:,} bandits" in text


def test_the_glossary_s_examples_are_the_defaults():
    text = section("Words")
    assert settings_for("rl2", "bandit")[1].num_pulls == int(re.search(r"its trial (\d+) pulls", text)[1])
    assert settings_for("maml", "point-robot")[0].trajectories == int(re.search(r"window of (\d+) episodes", text)[1])


def test_what_is_needed_to_install_is_what_the_project_says():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Python ≥ {project['requires-python'].removeprefix('>=')}" in README
    extras = set(re.findall(r'-e "\.\[(\w+)\]"', README)) | {"reports", "tensorboard", "all"}
    assert extras <= set(project["optional-dependencies"])
    assert project["license"] == README.strip().splitlines()[-1].rstrip(".")


def commands():
    lines = [line for block in blocks(README, "") for line in block.splitlines() if "bin/adaptax" in line]
    return [line.split(".venv/bin/adaptax ")[1].split("#")[0].strip() for line in lines]


def test_commands_are_found():
    assert len(commands()) > 12


@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_readme_has_the_options_and_names_that_it_uses(line, tmp_path):
    words = [word for word in shlex.split(line) if word != "…"]
    options = [word for word in words if word.startswith("--")]
    names = [word for word in words[1:] if not word.startswith("--")]
    helped = [words[0]]
    if words[0] in ("train", "plan", "sweep") and "--resume" not in options:
        assert names[0] in LEARNERS
        assert names[1] in PROBLEMS or names[1] == "my_envs:make_problem"
        helped += [names[0], names[1] if names[1] in PROBLEMS else "bandit"]
        if "--preset" in options:
            assert words[words.index("--preset") + 1] in named_presets()[names[0], names[1]]
    if words[0] == "compare":
        assert [name in ALGORITHMS for name in names] == [False, True, True]
    if words[0] == "reproduce":
        assert names[0] in tables()
    done = run(*helped, "--help", cwd=tmp_path)
    assert done.returncode == 0
    for option in options:
        assert re.search(rf"(^|\W){option}\b", done.stdout), option


def test_problems_have_shifted_tasks_as_said():
    row = re.search(r"^\| Problems \| (.*) \|$", README, re.MULTILINE)[1]
    assert row.endswith("shifted tasks for most")
    shifted = [name for name, entry in families.PROBLEMS.items() if load_target(entry.target)().shifted is not None]
    assert len(shifted) > len(families.PROBLEMS) / 2


def test_a_run_from_python_has_the_arguments_that_the_readme_gives(monkeypatch):
    from adaptax import experiment

    given = []
    for name in ("train", "compare"):
        signature = inspect.signature(getattr(experiment, name))

        def call(*args, _name=name, _signature=signature, **changes):
            _signature.bind(*args, **changes)
            given.append((_name, args, changes))
            return "a run"

        monkeypatch.setattr(experiment, name, call)
    exec(blocks(README, "python")[0], {})
    assert given[0][1] == ("rl2", "bandit")
    settings = settings_for("rl2", "bandit")[1]
    for name in set(given[0][2]) - {"directory"}:
        assert hasattr(settings, name) or hasattr(TrainOptions(), name), name
    assert given[1][1] == (["a run", "gittins"],)
    assert "gittins" in ALGORITHMS


def test_an_agent_is_used_as_the_readme_does(monkeypatch):
    from adaptax import Agent, TrainedAgent
    from adaptax.algorithms import Random
    from adaptax.problems import bernoulli_bandit

    class User:
        clicked = 0

        def click(self, arm):
            assert 0 <= arm < 10
            User.clicked += 1
            return 1.0

    loaded = lambda directory: Agent(TrainedAgent.initial(Random(), bernoulli_bandit()))  # noqa: E731
    monkeypatch.setattr(Agent, "load", loaded)
    exec(blocks(README, "python")[1], {"users": [User(), User()]})
    assert User.clicked == 200


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_project_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.compiles
def test_the_code_of_the_few_shot_page_runs_from_top_to_bottom(capsys):
    names = {}
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        for block in blocks((ROOT / "docs" / "few_shot.md").read_text(), "python"):
            exec(block, names)
    before, after, last = (float(x) for x in re.findall(r"[\d.]+", capsys.readouterr().out.replace("->", "")))
    assert after < before
    assert np.isfinite(last)
    assert len(jax.tree.leaves(names["trained"].state)) == 3  # mean, variance, and how many losses there were
    counts = [int(x) for x in jax.tree.leaves(names["trained"].state) if x.dtype == np.int32]
    assert counts == [5 * 2]  # in each of five outer steps two inner steps; the query loss leaves them as they are


@pytest.mark.compiles
def test_the_code_of_the_deployment_page_runs_from_top_to_bottom(capsys, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    import jax

    from adaptax.deployment.export.files import write_checked
    from adaptax.deployment.export.traced import exported

    monkeypatch.chdir(tmp_path)
    written = tmp_path / "export" / "onnx"
    written.mkdir(parents=True)
    names = {}
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        for block in blocks((ROOT / "docs" / "deployment.md").read_text(), "python"):
            exec(block, names)
            if not any(written.iterdir()):
                trained = names["trained"]
                write_checked(exported(trained), trained.problem.env.observation_space, "onnx", written)
    first, last = capsys.readouterr().out.splitlines()
    assert first == "[0 2 1]"  # begun anew, twice, once
    assert last in ("2 0 False", "1 0 False")
    assert names["sessions"].steps[0] == 2
    assert names["actions"].shape == (8,)
    agent = names["Agent"](names["trained"])
    agent.begin()
    for _ in range(5):
        arm = agent.act([])
        agent.observe(reward=float(arm == 2), episode_over=True)
    np.testing.assert_array_equal(names["arms"], np.full(100, arm))  # every task of the batch, as one alone


@pytest.mark.compiles
def test_the_tutorial_s_agent_learns_to_learn(capsys):
    names = executed("tutorial.md")
    before, after = (names[name].episode_returns for name in ("before", "after"))
    assert abs(before[-1] - before[0]) < 0.06  # an untrained agent does not get better within a trial
    assert after[-1] > after[0] + 0.1
    assert names["after"].scores.mean() < names["optimum"].scores.mean() + 0.3
    assert "the arms pay with probability" in capsys.readouterr().out


@pytest.mark.compiles
def test_a_family_of_one_s_own_has_an_oracle_and_can_be_trained_on_in_40_and_15_lines(capsys):
    text = (ROOT / "docs" / "own_problem.md").read_text()
    native, _, simulator = blocks(text, "python")
    lines = lambda block: sum(bool(line.strip()) for line in block.splitlines())  # noqa: E731
    assert lines(native) <= 40
    assert lines(simulator) <= 15
    names = executed("own_problem.md")
    assert names["swinging"].env.action_space.shape == (1,)
    said = [[float(x) for x in re.findall(r"[\d.]+", row)] for row in capsys.readouterr().out.splitlines()[:2]]
    random, trained = (np.mean(row) for row in said)
    with jax.numpy_dtype_promotion("standard"):  # as in a user's own program
        best = np.mean(
            [float(names["problem"].test.oracle(names["Wiring"](np.float32(g)))) for g in np.linspace(-2, 2, 401)]
        )
    assert random + 0.5 < trained < best


@pytest.mark.compiles
def test_an_algorithm_of_one_s_own_learns(capsys):
    names = executed("own_algorithm.md")
    assert "ε = 0.0" in capsys.readouterr().out

    def earned(epsilon):
        theta = {**names["state"].meta, "logit": jnp.log(jnp.float32(epsilon / (1 - epsilon)))}
        agent = names["adaptax"].TrainedAgent(names["algorithm"], names["problem"], theta)
        with jax.numpy_dtype_promotion("standard"):
            return names["adaptax"].evaluate(agent, num_tasks=2000).scores.mean()

    assert names["before"] + 3 < names["after"]
    assert names["after"] > max(map(earned, (0.003, 0.01, 0.03, 0.1, 0.3))) - 0.3  # as good as any other ε


@pytest.mark.compiles
def test_the_code_of_the_evaluation_page_runs(capsys):
    executed("evaluation.md")
    assert "500 tasks × 10 episodes" in capsys.readouterr().out


def executed(page):
    """Names after the code of a page has run from top to bottom, as in a user's own program."""
    import jax

    names = {}
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        for block in blocks((ROOT / "docs" / page).read_text(), "python"):
            exec(block, names)
    return names


def test_the_decision_table_names_algorithms_and_options_that_there_are():
    text = (ROOT / "docs" / "choosing.md").read_text()
    for line in re.findall(r"^\| .*? \| (`.*?`(?:, `.*?`)*) \|", text, re.M):
        for words in re.findall(r"`([^`]+)`", line):
            name, *options = words.split()
            if name.startswith("--"):
                continue
            settings = settings_for(name, "bandit" if name in ("rl2", "meta-policy-gradient") else "point-robot")[0]
            for option, value in zip(options[::2], options[1::2], strict=True):
                changed = {option.removeprefix("--").replace("-", "_"): value}
                assert type(settings)(**{**vars(settings), **changed})
