"""Every number with a meaning, once: a frozen dataclass a stage, imports nothing heavy.

A command's default is the field here; a field names the section or equation it comes from.
"""

from dataclasses import dataclass
from typing import Literal

Renderer = Literal["auto", "builtin", "opengl"]
Shading = Literal["mvcnn", "smooth"]
Axis = Literal["x", "y", "z"]
Up = Literal["auto", "x", "y", "z"]
Framing = Literal["box", "sphere"]


# Degrees above the horizon that shapes are seen from: the paper's (Su et al. 2015), and a photographer's.
RIGS: dict[str, float] = {"paper": 30.0, "eye": 15.0}


@dataclass(frozen=True)
class RenderConfig:
    """The twelve views of a shape (section 3.2; Su et al. 2015)."""

    views: int = 12  # N, section 3.2
    elevation: float = RIGS["paper"]  # degrees
    size: int = 224  # pixels a side
    up: Up = "auto"
    ups: tuple[tuple[str, Axis], ...] = ()  # patterns of files and their axis; the last that fits wins
    shading: Shading = "mvcnn"
    framing: Framing = "box"
    ground: int = 255  # grey level behind the shape
    renderer: Renderer = "auto"
    layout: str = "auto"  # of the data set that the meshes are (data/layouts)
    timeout: float = 300.0  # seconds a mesh may take before it is given up
    memory: float = 0.0  # GB a mesh may take; 0 is its worker's share of the machine


Preset = Literal["propagated", "stable", "paper", "lab"]
Inputs = Literal["pooled", "blocks"]
Pooling = Literal["max", "mean", "attention"]
PseudoLabels = Literal["argmax", "propagated", "permuted"]
Descriptor = Literal["embedding", "fused"]
Fit = Literal["squash", "crop", "pad"]
Norm = Literal["shared", "adabn", "transnorm"]
Pretrain = Literal["none", "generated"]
Freeze = Literal[
    "auto", "none", "trunk",
    "blocks:1", "blocks:2", "blocks:3", "blocks:4", "blocks:5", "blocks:6", "blocks:7",
]  # fmt: skip


@dataclass(frozen=True)
class ModelConfig:
    """The network, as it is stored beside its weights.

    ``embedding`` 0 means no bottleneck: the descriptor is the trunk's own feature (a frozen encoder).
    """

    backbone: str = "efficientnet_lite0"
    embedding: int = 256  # D, section 3.2
    classes: tuple[str, ...] = ()
    dropout: float = 0.0  # before the bottleneck; AlexNet's own two stay in its trunk
    embedding_relu: bool = False  # the paper is silent; the lab's code has none
    freeze_norm: bool = True
    head_init: Literal["orthogonal", "gaussian"] = "orthogonal"
    size: int = 224  # pixels a side that the network sees
    resize: int = 224  # pixels a side before the crop to ``size``
    fit: Fit = "crop"  # how an oblong photo becomes square
    mean: tuple[float, float, float] = (127 / 255,) * 3  # what EfficientNet-Lite was trained with
    std: tuple[float, float, float] = (128 / 255,) * 3
    # since 0.2.0; a field that is as it is here is not part of a network's digest
    inputs: Inputs = "pooled"  # what the bottleneck reads; blocks: see models.network.LiteBlocks
    centred: bool = False  # less the domain's training mean, each block a unit vector, times 10
    pooling: Pooling = "max"  # over the views of a shape; the paper's is max
    descriptor: Descriptor = "embedding"  # fused: see models.network.Network.describe
    bank: int = 0  # labelled photos that the fused descriptor's gate compares with
    norm: Norm = "shared"  # batch normalisation; the others have statistics of shapes apart (models.norms)
    norm_last: int = 0  # blocks at the trunk's end that have them; 0 is the whole trunk
    mapped: bool = False  # photos' pooled feature goes through a map learned from generated photos

    @property
    def tells_domains(self) -> bool:
        """Return whether photos and views of shapes take different ways through the network."""
        differs = self.centred or self.descriptor == "fused" or self.pooling != "max"
        return differs or self.norm != "shared" or self.mapped


NEW_MODEL_FIELDS = (  # unknown to files of 0.1.0
    "inputs", "centred", "pooling", "descriptor", "bank", "norm", "norm_last", "mapped",
)  # fmt: skip


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class TrainConfig:
    """One training run. The defaults are the preset ``stable``; ``PRESETS`` holds what the others change."""

    method: str = "hifa"  # a name of methods.METHODS, or package.module:Class
    preset: Preset = "stable"
    backbone: str = "efficientnet_lite0"
    weights: str = "imagenet"
    freeze: Freeze = (
        "auto"  # auto: frozen on a CPU, trained on a GPU; blocks:N: the last N blocks are trained
    )
    embedding: int = 256  # D, section 3.2
    embedding_relu: bool = False
    dropout: float = 0.2
    head_init: Literal["orthogonal", "gaussian"] = "orthogonal"
    # ours, see the preset "propagated"; as they are here, the paper's
    inputs: Inputs = "pooled"
    centred: bool = False
    pooling: Pooling = "max"
    descriptor: Descriptor = "embedding"
    pseudo_labels: PseudoLabels = "argmax"  # of shapes; permuted: propagated and shuffled, the placebo
    norm: Literal["auto", "shared", "adabn", "transnorm"] = "auto"  # auto: the method's, else shared
    # equation 7
    weight_mutual: float = 0.05  # lambda
    weight_global: float = 0.05  # beta; the paper prints 1, see docs/methods.md
    weight_local: float = 20.0  # multiplies gamma(p); the paper has 1
    radius: float = 25.0  # R, section 3.3
    ramp: float = 10.0  # the 10 of gamma = 2 / (1 + exp(-10 p)) - 1
    # where the paper is silent
    norm_penalty: Literal["squared", "absolute"] = "squared"  # L_d of equation 4; AFN's code squares
    local_scale: Literal["sum", "classes", "mean"] = "mean"  # equation 6 as printed, per class, per number
    centroids: Literal["moving", "batch"] = "moving"  # MSTN's code moves
    centroid_keep: float = 0.7  # share of the old centroid, MSTN
    mutual_pairs: Literal["views", "pooled"] = "views"  # I_t and K_t are per view in the text
    mutual_views: int = 2  # views of a shape that the critic sees a step (0: all); its mean is unbiased
    critic_rate: float = 20.0  # the critic's own learning rate factor; 1 / lambda undoes lambda for it
    # the rivals: each setting from its own source (docs/methods.md)
    adversarial: float = 1.0  # weight of the domain loss; RevGrad's code for MI3DOR
    adversarial_width: int = 1024  # of the discriminator's two hidden layers; RevGrad, MSTN
    adversarial_dropout: float = 0.5  # in the discriminator; RevGrad, MSTN
    adversarial_rate: float = 1.0  # the discriminator's learning rate factor; RevGrad: that of new layers
    mstn_adversarial: float = 0.1  # weight of the domain loss in MSTN's code
    mstn_semantic: float = 1.0  # weight of MSTN's centroid term, times gamma(p)
    dlea_semantic: float = 1.0  # of the stand-in for DLEA, whose settings were not published
    jan: float = 1.0  # weight of the JMMD; Xlearn's trade-off
    jan_kernels: int = 5  # Gaussians on the embedding, bandwidths apart by factors of jan_factor; Xlearn
    jan_factor: float = 2.0
    jan_bandwidth: float = 1.68  # of the one Gaussian on the class probabilities; Xlearn
    jan_estimator: Literal["full", "linear"] = "full"  # all pairs, or O(B); Xlearn has both
    afn: float = 0.05  # weight of HAFN and SAFN; AFN's code on Office-31
    afn_step: float = 1.0  # by how much SAFN wants each norm to grow; AFN's code
    coral: float = 1.0  # weight; the paper only says that both losses should end alike
    coral_layer: Literal["logits", "embedding"] = "logits"  # the paper: the last layer
    # later methods: each setting from its own source (docs/methods.md)
    mcc: float = 1.0  # weight; MCC's code
    mcc_temperature: float = 2.5  # T; MCC's code
    shot_start: float = (
        0.5  # share of the steps for the photos alone; SHOT trains the two one after the other
    )
    shot_smoothing: float = 0.1  # of the photos' labels; SHOT
    shot_labels: float = 0.3  # weight of the shapes' own labels; SHOT's code
    transport: float = 1.0  # weight; MA's code
    transport_temperature: float = 1.0  # of the plan; MA's code
    transport_nearest: float = 0.005  # weight of the distance to the nearest prototype; MA's code: 0.05 * 0.1
    transport_distillation: float = 0.01  # weight of the source model's labels; MA's code
    # the first stage, ours: photos generated of the shapes' meshes (training.pretraining)
    pretrain: Pretrain = "none"
    pretrain_photos: int = 8  # of each shape; one is held out to stop by
    pretrain_steps: int = 400
    pretrain_batch: int = 0  # shapes a step, one photo of each; 0: LearnConfig's for a map, 32 for blocks
    pretrain_rate: float = 2e-4  # Adam's
    # the run
    steps: int = 400
    images: int = 42  # photos a step
    shapes: int = 24  # shapes a step
    views: int = 12  # views of a shape a step, drawn anew each step
    rate: float = 0.01  # learning rate of the head
    trunk_rate: float = 0.1  # the trunk's learning rate as a share of the head's
    rate_decay: float = 10.0  # rate / (1 + decay * p) ** power
    rate_power: float = 0.75
    warmup: int = 20  # steps
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    clip: float = 0.0  # largest gradient norm; 0 means none
    size: int = 224  # pixels a side that the network sees
    resize: int = 256  # pixels before the random crop; the lineage goes from 256 to 224
    fit: Fit = "crop"  # how an oblong photo becomes square
    augment: bool = True  # random crop and flip, each view by itself
    balanced: bool = True  # every class of photos equally often
    workers: int = 0  # processes that read pictures
    checkpoint: int = 200  # steps between checkpoints
    amp: Literal["auto", "off", "bf16", "fp16"] = "auto"  # auto: bf16 on CUDA where it has it
    tf32: bool = False  # whether float32 products on CUDA may drop to 10 bits of mantissa
    compile: bool = False  # torch.compile the trunk
    chunk: int = 0  # pictures whose activations are held at once (0: all); less memory, one more forward pass
    validation: float = 0.0  # share of the photos held out of training, to be classified while it runs
    validate_every: int = 100  # steps
    keep: Literal["last", "best"] = "last"  # which weights; best is by the held-out photos, never by shapes
    own: str = ""  # settings of a user's own method (its class ``Settings``), as JSON


def last_blocks(freeze: Freeze) -> int:
    """Return N of ``blocks:N``; 0 where no part of a trunk is trained by itself."""
    return int(freeze.partition(":")[2] or 0)


DEFAULT_RECIPE: tuple[str, Preset] = ("hifa-l", "propagated")  # method and preset of 'hifa train' by itself

PRESETS: dict[str, dict[str, object]] = {
    # Ours: the paper's L_C and L_L; input, pooling over views and the shapes' labels are not the paper's.
    "propagated": {
        "freeze": "trunk",
        "inputs": "blocks",
        "centred": True,
        "pooling": "mean",
        "descriptor": "fused",
        "pseudo_labels": "propagated",
        "steps": 300,
        "views": 4,
    },
    "stable": {},
    # The paper's words; where it is silent, the MSTN AlexNet recipe that its lineage descends from.
    "paper": {
        "backbone": "alexnet",
        "freeze": "none",
        "dropout": 0.0,
        "head_init": "gaussian",
        "weight_global": 1.0,
        "weight_local": 1.0,
        "local_scale": "sum",
        "mutual_views": 0,
        "critic_rate": 1.0,
        "fit": "squash",
        "steps": 10_000,
        "images": 32,
        "shapes": 32,
        "nesterov": False,
        "warmup": 0,
    },
    # The configuration that the benchmark's authors published with their RevGrad code.
    "lab": {
        "backbone": "alexnet",
        "freeze": "none",
        "dropout": 0.0,
        "weight_global": 1.0,
        "weight_local": 1.0,
        "local_scale": "sum",
        "mutual_views": 0,
        "critic_rate": 1.0,
        "steps": 20_000,
        "images": 6,
        "shapes": 6,
        "warmup": 0,
    },
}


@dataclass(frozen=True)
class DuplicatesConfig:
    """Settings of ``hifa duplicates``, which finds shapes that are the same part.

    Lengths are in RMS radii of a shape.
    """

    within: float = 1.0  # per cent: mean distance of two surfaces that still are variants of one shape
    invariants: float = 0.12  # greatest difference of the invariants of a pair that is worth comparing
    neighbours: int = 20  # pairs that are compared for each shape, at most, by invariants
    cosine: float = 0.9  # of the embeddings, from which on a pair is compared, too


@dataclass(frozen=True)
class AdaptConfig:
    """A shallow method on embeddings. Greek letters are those of its paper."""

    method: Literal["jgsa", "meda"] = "jgsa"
    dimension: int = 0  # of the common subspace; 0 is the method's own, ``ADAPT_DIMENSIONS``
    iterations: int = 10  # T of pseudo-labels; the codes of both
    # JGSA: the authors' demo
    alpha: float = 1.0  # closeness of the two maps
    beta: float = 0.1  # separation of the photos' classes
    mu: float = 1.0  # variance of the shapes
    prepare: Literal["unit", "zscore", "none"] = "unit"  # vectors first; the demo z-scores each domain
    # MEDA: the paper and the code's header
    alignment: float = 10.0  # lambda: of the distributions
    rho: float = 1.0  # smoothness on the graph of neighbours
    eta: float = 0.1  # size of the function
    neighbours: int = 10  # p of the graph
    output: Literal["scores", "manifold"] = "scores"  # what is retrieved with; the paper does not say
    landmarks: int = 0  # Nyström points instead of an (n_s + n_t)^2 kernel; 0 is the whole kernel
    # retrieval sets negative values to zero: keep them as positive values of further coordinates
    split_signs: bool = True
    seed: int = 0  # of the choice of landmarks


ADAPT_DIMENSIONS = {"jgsa": 30, "meda": 20}  # the authors' codes


@dataclass(frozen=True)
class IndexConfig:
    """Settings of a gallery's search."""

    factory: str = "auto"  # a FAISS factory string, or by size
    exact_floats: int = 100_000_000  # beyond that many numbers exact search becomes slow
    compact_bytes: int = 8_000_000_000  # beyond that an index of one byte a number is too large for memory
    recall: float = 0.95  # of the ten nearest, that the search is tuned to
    recall_at: int = 10
    sample: int = 400  # queries that it is tuned with
    train_each: int = 40  # shapes an inverted list that the lists are learned from; FAISS asks for 39
    retrain: float = 2.0  # lists learned from a gallery that was so many times smaller or larger are too old
    views: Literal["auto", "keep", "drop"] = "auto"  # each view's own vector, which tells the direction
    view_numbers: int = 400_000_000  # beyond that many (0.8 GB) auto drops them
    whole_bytes: int = 32_000_000  # of vectors; smaller galleries are written whole with every change
    top: int = 10  # shapes shown for a query


Find = Literal["both", "kind", "part"]


@dataclass(frozen=True)
class RankingConfig:
    """Settings of the ranking without training: see :mod:`hifa_cli.search.rerank`.

    A gallery without one ranks as the paper does: the maximum over the views, clamped cosines.
    """

    project: bool = True  # damp the directions in which photos and views of a shape differ
    semantic: float = 3.0  # weight of the encoder's own classes in a query; 0 leaves them out
    neighbours: int = 5  # of each shape that share its score; 0 leaves smoothing out
    smooth_from: int = 40  # shapes; in a smaller gallery neighbours are not alike
    smooth_most: int = 30_000  # shapes; the neighbours of more take too long to find
    blend: float = 0.45  # weight of the very part against the kind, where both are looked for
    depth: int = 50  # best shapes by kind that are ordered anew
    candidates: int = 1_000  # shapes whose views are compared one by one, in a larger gallery


@dataclass(frozen=True)
class LearnConfig:
    """Settings of the map that a gallery learns; see :mod:`hifa_cli.adaptation.own_map`."""

    photos: int = 8  # of each shape; one is held out
    longest: int = 256  # pixels of a photo's longer side
    steps: int = 400
    batch: int = 256  # shapes a step, one photo of each
    rate: float = 2e-4  # Adam's
    temperature: float = 0.05  # that cosines are divided by
    decay: float = 1.0  # weight of the mean square of what is added to a photo's vector
    check: int = 50  # steps between two looks at the held-out photos
    checked: int = 1_000  # shapes looked at then
    shapes: int = 5_000  # at most; more would not fit into memory, and make the map no better
    floor: float = 1.5  # deviations from which the very part is lifted, once a map is learned
    weight: float = 1.1  # of what is above the floor


@dataclass(frozen=True)
class PageConfig:
    """Limits of a page of rankings."""

    queries: int = 200
    meshes: int = 300  # shapes that turn; the rest are pictures
    faces: int = 4_000  # a mesh
    all_faces: int = 400_000  # of all meshes: some 5 MB
    picture: int = 480  # pixels of a query's longer side
    thumbnail: int = 160  # pixels of a shape's
    views: int = 1_500  # pictures of further views, for shapes that several queries found


@dataclass(frozen=True)
class ServeConfig:
    """The server of the page."""

    host: str = "127.0.0.1"
    port: int = 8321
    allow_hosts: tuple[str, ...] = ()  # names that browsers may reach it by, beside its own
    token: str | None = None  # what a browser or a program must show; None asks for nothing
    upload: int = 50_000_000  # bytes of a request's photos
    photos: int = 12  # of one request
    most: int = 100  # shapes a query may ask for
    waiting: int = 16  # requests that may hold photos in memory at once


MetricProfile = Literal["mi3dor", "mi3dor-legacy", "psb", "mpeg7", "mpeg7-2001", "oscar"]


@dataclass(frozen=True)
class EvaluateConfig:
    """Settings of the metrics (section 4.1)."""

    profile: MetricProfile = "mi3dor"
    bootstrap: int = 0  # resamples of the confidence intervals; 0 means none
    resamples: int = 10_000  # of a comparison with another export


@dataclass(frozen=True)
class CompareConfig:
    """A comparison of methods over seeds (tables 1 to 3)."""

    # table 3; the fourth builds the term of the fifth and lets it act on nothing: the placebo
    methods: str = "source-only,hifa-g,hifa-gl,hifa(weight_mutual=0),hifa,default"
    seeds: str = "5"  # so many from 0, or a list
    train_split: str = "train"
    test_split: str = "test"
    jobs: int = 0  # processes side by side; 0 is what fits


@dataclass(frozen=True)
class PlotConfig:
    """Figures (figure 3 of the paper)."""

    points: int = 2_000  # of each domain in a t-SNE, which takes minutes beyond
    perplexity: float = 30.0  # van der Maaten and Hinton 2008: 5 to 50
    best: int = 1  # answers a photo in a confusion matrix


@dataclass(frozen=True)
class WorldConfig:
    """The demo's shapes and photos: how many of each class, and how large the photos are."""

    classes: tuple[str, ...] = (
        "airplane",
        "boat",
        "bottle",
        "car",
        "chair",
        "guitar",
        "lamp",
        "mug",
        "sofa",
        "table",
    )
    shapes_train: int = 18  # a class
    shapes_test: int = 8
    photos_train: int = 40
    photos_test: int = 12
    photo_size: int = 256  # pixels of a photo's longer side
    photo_quality: int = 88  # of the JPEG file


@dataclass(frozen=True)
class DemoConfig:
    """The demo's training runs and what it shows."""

    steps: int = 300
    size: int = 160  # pixels a side that the network sees: half the work of 224
    shown: int = 8  # shapes across on the contact sheet
