"""What the commands do, as functions: train, sweep, evaluate, reference, compare, inspect, report and so on.

They do all that the commands do, print nothing, and leave the process as it was. All are imported when they are first
used, so that a command's words can be checked before JAX is imported.
"""

from typing import TYPE_CHECKING

from adaptax.core.lazy import by_name, imported_when_used

if TYPE_CHECKING:
    from adaptax.experiment.assessment import Assessment as Assessment
    from adaptax.experiment.comparison import Comparison as Comparison
    from adaptax.experiment.comparison import compare as compare
    from adaptax.experiment.demonstration import Demonstration as Demonstration
    from adaptax.experiment.demonstration import demo as demo
    from adaptax.experiment.evaluation import evaluate as evaluate
    from adaptax.experiment.exporting import Export as Export
    from adaptax.experiment.exporting import export as export
    from adaptax.experiment.inspection import Inspection as Inspection
    from adaptax.experiment.inspection import inspect as inspect
    from adaptax.experiment.options import CompareOptions as CompareOptions
    from adaptax.experiment.options import DemoOptions as DemoOptions
    from adaptax.experiment.options import EvaluateOptions as EvaluateOptions
    from adaptax.experiment.options import ExportOptions as ExportOptions
    from adaptax.experiment.options import InspectOptions as InspectOptions
    from adaptax.experiment.options import PlayOptions as PlayOptions
    from adaptax.experiment.options import ReferenceOptions as ReferenceOptions
    from adaptax.experiment.options import ReportOptions as ReportOptions
    from adaptax.experiment.options import ReproduceOptions as ReproduceOptions
    from adaptax.experiment.options import TrainOptions as TrainOptions
    from adaptax.experiment.planning import TrainingPlan as TrainingPlan
    from adaptax.experiment.planning import plan as plan
    from adaptax.experiment.playing import Page as Page
    from adaptax.experiment.playing import play as play
    from adaptax.experiment.progress import Progress as Progress
    from adaptax.experiment.reference_training import ReferenceTraining as ReferenceTraining
    from adaptax.experiment.reference_training import reference as reference
    from adaptax.experiment.reporting import Report as Report
    from adaptax.experiment.reporting import report as report
    from adaptax.experiment.reproduction import Reproduction as Reproduction
    from adaptax.experiment.reproduction import reproduce as reproduce
    from adaptax.experiment.run import Run as Run
    from adaptax.experiment.signals import StopSignal as StopSignal
    from adaptax.experiment.sweep_options import SweepOptions as SweepOptions
    from adaptax.experiment.sweep_plan import Range as Range
    from adaptax.experiment.sweeping import Sweep as Sweep
    from adaptax.experiment.sweeping import resume_sweep as resume_sweep
    from adaptax.experiment.sweeping import sweep as sweep
    from adaptax.experiment.training import resume as resume
    from adaptax.experiment.training import train as train

_WHERE = {
    "comparison": ("Comparison", "compare"),
    "demonstration": ("Demonstration", "demo"),
    "assessment": ("Assessment",),
    "evaluation": ("evaluate",),
    "exporting": ("Export", "export"),
    "inspection": ("Inspection", "inspect"),
    "options": (
        "CompareOptions",
        "DemoOptions",
        "EvaluateOptions",
        "ExportOptions",
        "InspectOptions",
        "PlayOptions",
        "ReferenceOptions",
        "ReportOptions",
        "ReproduceOptions",
        "TrainOptions",
    ),
    "planning": ("TrainingPlan", "plan"),
    "playing": ("Page", "play"),
    "progress": ("Progress",),
    "reference_training": ("ReferenceTraining", "reference"),
    "reporting": ("Report", "report"),
    "reproduction": ("Reproduction", "reproduce"),
    "run": ("Run",),
    "signals": ("StopSignal",),
    "sweep_options": ("SweepOptions",),
    "sweep_plan": ("Range",),
    "sweeping": ("Sweep", "resume_sweep", "sweep"),
    "training": ("resume", "train"),
}
__getattr__, __dir__, __all__ = imported_when_used(__name__, by_name(__name__, _WHERE))
