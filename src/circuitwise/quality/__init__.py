"""How good a set of dictionaries is: reconstruction, cross-entropy with it spliced in, scores of graphs."""

from circuitwise.quality.budget import Cut as Cut
from circuitwise.quality.budget import QualityBudget as QualityBudget
from circuitwise.quality.estimates import Estimate as Estimate
from circuitwise.quality.figure import quality_figure as quality_figure
from circuitwise.quality.figure import write_quality_figure as write_quality_figure
from circuitwise.quality.measure import measure_quality as measure_quality
from circuitwise.quality.quality import GraphScores as GraphScores
from circuitwise.quality.quality import LayerQuality as LayerQuality
from circuitwise.quality.quality import Measured as Measured
from circuitwise.quality.quality import Quality as Quality
from circuitwise.quality.quality import Spliced as Spliced

__all__ = [
    "Cut",
    "Estimate",
    "GraphScores",
    "LayerQuality",
    "Measured",
    "Quality",
    "QualityBudget",
    "Spliced",
    "measure_quality",
    "quality_figure",
    "write_quality_figure",
]
