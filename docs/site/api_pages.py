"""The public names of the package, from their docstrings."""

from pathlib import Path

PAGES = {
    "Problems": (
        "What a family of tasks is, and what one of your own is made of.",
        ["adaptax.core.problem", "adaptax.core.spaces", "adaptax.core.types", "adaptax.problems.task_informed"],
    ),
    "Simulators": (
        "Gymnasium, gymnax, vector environments, named values as tasks.",
        ["adaptax.problems.host.gymnasium_problems", "adaptax.problems.host.vector_problems",
         "adaptax.problems.gymnax_problems", "adaptax.problems.task_values"],
    ),
    "Algorithms": (
        "What a learner is, and what there is to build one of.",
        ["adaptax.core.algorithm", "adaptax.core.meta_learner", "adaptax.core.settings", "adaptax.core.experience",
         "adaptax.registry.resolve", "adaptax.registry.encoders"],
    ),
    "Networks": ("Memories, heads and encoders.", ["adaptax.networks.memory.base", "adaptax.networks.heads",
                                                    "adaptax.networks.encoders", "adaptax.networks.mlp"]),
    "Losses and optimisers": (
        "Arrays in, arrays out.",
        ["adaptax.optimization.losses", "adaptax.optimization.estimators", "adaptax.optimization.inner_optimizers",
         "adaptax.optimization.outer_optimizers", "adaptax.optimization.observations"],
    ),
    "Few-shot learning": ("MAML for any loss.", ["adaptax.few_shot.maml", "adaptax.few_shot.losses"]),
    "Training and evaluation": (
        "The one training loop and the one evaluator.",
        ["adaptax.training.loop", "adaptax.evaluation.evaluator", "adaptax.evaluation.statistics",
         "adaptax.core.trained_agent"],
    ),
    "Experiments": (
        "What the commands do, as functions.",
        ["adaptax.experiment.training", "adaptax.experiment.evaluation", "adaptax.experiment.comparison",
         "adaptax.experiment.inspection", "adaptax.experiment.exporting", "adaptax.experiment.reproduction",
         "adaptax.experiment.planning", "adaptax.experiment.options", "adaptax.runs.options"],
    ),
    "Deployment": (
        "A trained agent at work.",
        ["adaptax.deployment.agent", "adaptax.deployment.sessions", "adaptax.deployment.predict"],
    ),
    "Errors": ("Messages to a person, and exit codes.", ["adaptax.core.errors"]),
}  # fmt: skip
"""By title: what is on a page, and the modules."""


def page(title: str) -> str:
    """A page of the reference."""
    about, modules = PAGES[title]
    return "\n".join([f"# {title}", "", about, "", *(f"::: {module}\n" for module in modules)])


def file_of(title: str) -> str:
    """Where it is."""
    return f"api/{title.lower().replace(' ', '_')}.md"


def write(into: Path) -> dict[str, object]:
    """Write all pages; return their part of the table of contents."""
    (into / "api").mkdir()
    for title in PAGES:
        (into / file_of(title)).write_text(page(title), encoding="utf-8")
    return {title: file_of(title) for title in PAGES}
