from hifa_cli.api.client import Client as Client
from hifa_cli.api.gallery import Gallery as Gallery
from hifa_cli.api.gallery import Hit as Hit
from hifa_cli.api.gallery import Hits as Hits
from hifa_cli.api.results import Run as Run
from hifa_cli.api.results import Views as Views
from hifa_cli.api.stages import build_gallery as build_gallery
from hifa_cli.api.stages import embed as embed
from hifa_cli.api.stages import evaluate as evaluate
from hifa_cli.api.stages import merge_shards as merge_shards
from hifa_cli.api.stages import open_gallery as open_gallery
from hifa_cli.api.stages import render as render
from hifa_cli.api.stages import train as train
from hifa_cli.embeddings.io import Export as Export
from hifa_cli.errors import HifaError as HifaError
from hifa_cli.evaluation.evaluate import Scores as Scores
from hifa_cli.runtime.progress import Reporter as Reporter
from hifa_cli.runtime.progress import reporting as reporting

__version__: str
