"""Examples of every verb: what each is for, and the line. The help shows them, and the tests parse them."""

Example = tuple[str, str]

EXAMPLES: dict[str, tuple[Example, ...]] = {
    "": (
        ("find shapes by a photo, with no training", "hifa index meshes/ --out gallery"),
        ("then ask as often as you like", "hifa query photo.jpg -g gallery"),
        ("what a verb does, and its options", "hifa help index"),
    ),
    "render": (
        ("twelve views of every mesh in a folder", "hifa render meshes/ --out views"),
        ("as people take photos, OBJ files being y-up",
         "hifa render meshes/ -o views --rig eye --up '*.obj=y'"),
        ("one mesh, with a picture to look at", "hifa render chair.off -o views --contact-sheet chair.png"),
        ("by all machines of a Ray cluster", "hifa render meshes/ -o views --engine ray"),
    ),
    "train": (
        ("the default recipe", "hifa train --images photos --shapes views --out run"),
        ("the paper's own recipe, on the training split",
         "hifa train --images photos --shapes views -o run --preset paper --split train"),
        ("what would it cost?", "hifa train --images photos --shapes views -o run --dry-run"),
    ),
    "export": (
        ("photos and shapes by a trained model",
         "hifa export --model run --images photos --shapes views --out all.h5"),
        ("by the pretrained encoder, the test split alone",
         "hifa export --images photos --shapes views --split test -o test.h5"),
        ("by another backbone of timm",
         "hifa export --backbone dinov2-small --images photos --shapes views -o dino.h5"),
        ("by the GPUs of a Ray cluster",
         "hifa export --model run --shapes views -o all.h5 --engine ray --device cuda"),
    ),
    "adapt": (
        ("fit JGSA on one export, adapt another", "hifa adapt test.h5 --fit train.h5 --out jgsa.h5"),
        ("MEDA, keeping what was fitted",
         "hifa adapt test.h5 --fit train.h5 --method meda --maps meda.npz -o meda.h5"),
        ("use what was fitted on more embeddings", "hifa adapt more.h5 --fitted meda.npz -o more-meda.h5"),
    ),
    "index": (
        ("a gallery of meshes; again, after they changed", "hifa index meshes/ --out gallery"),
        ("of several folders, by a model of your own", "hifa index meshes/ more/ --model run -o gallery"),
        ("follow the sources: new, changed and vanished meshes", "hifa index --update gallery"),
        ("add some, remove others", "hifa index --add new/ --remove 'old/*' -o gallery"),
        ("fields from a table, for filters", "hifa index --metadata parts.csv -o gallery"),
        ("what it holds, and whether all of it is sound",
         "hifa index --stats gallery && hifa index --verify gallery"),
    ),
    "query": (
        ("the ten nearest shapes", "hifa query photo.jpg -g gallery"),
        ("the very part, three photos of it together",
         "hifa query a.jpg b.jpg c.jpg --fuse --find part -g gallery"),
        ("a folder of photos, as a page to look at", "hifa query photos/ -g gallery --html ranked.html"),
        ("only shapes that a condition holds for",
         "hifa query photo.jpg -g gallery --where \"licence = 'CC0'\""),
        ("more like one shape, less like another", "hifa query --like chair/12 --unlike chair/3 -g gallery"),
        ("for a script", "hifa query 'photos/*.jpg' -g gallery --top 5 --json"),
    ),
    "serve": (
        ("for yourself", "hifa serve gallery"),
        ("for a network or a container, with a password", "hifa serve gallery --host 0.0.0.0 --token random"),
        ("behind a proxy that has this name", "hifa serve -g gallery --allow-host shapes.example.org"),
    ),
    "mcp": (
        ("for an agent that starts it", "hifa mcp gallery"),
        ("which may read photos of one folder only", "hifa mcp gallery --images photos/"),
        ("vectors of a run, with its model", "hifa mcp -g gallery --model run"),
    ),
    "duplicates": (
        ("families of the same part in a gallery", "hifa duplicates gallery"),
        ("as a page with pictures, and as a table",
         "hifa duplicates gallery --html twins.html --csv twins.csv"),
        ("only what is the same to the last facet, for a script",
         "hifa duplicates -g gallery --within 0 --json"),
    ),
    "push": (
        ("a gallery, for yourself", "hifa push gallery user/parts --private"),
        ("a run, with its scores on the card", "hifa push run user/chairs --scores scores.json"),
        ("under your own licence, for a script", "hifa push run user/chairs --licence cc-by-4.0 --json"),
    ),
    "pull": (
        ("a gallery that photos can be held against", "hifa pull user/parts --out gallery"),
        ("a run as it was at a tag or a commit", "hifa pull user/chairs --out run --revision v1"),
        ("the latest in the place of the last one", "hifa pull user/parts --out gallery --force"),
    ),
    "evaluate": (
        ("the six metrics", "hifa evaluate all.h5"),
        ("two exports with confidence intervals, for a paper",
         "hifa evaluate hifa.h5 source-only.h5 --bootstrap 1000 --format latex"),
        ("is the difference significant?", "hifa evaluate hifa.h5 --against source-only.h5 --per-class"),
    ),
    "compare": (
        ("the ablation over five seeds",
         "hifa compare --images photos --shapes views --out table3 --seeds 5"),
        ("chosen rows, one with settings of its own",
         "hifa compare --images photos --shapes views -o c --methods 'source-only,hifa,hifa(radius=30)'"),
        ("without training, as LaTeX",
         "hifa compare --images photos --shapes views -o c --methods frozen,jgsa:frozen --latex t.tex"),
    ),
    "plot": (
        ("t-SNE of both domains", "hifa plot all.h5 --out tsne.png"),
        ("precision and recall of two exports", "hifa plot hifa.h5 source-only.h5 --kind pr -o curves.pdf"),
        ("which classes are taken for which", "hifa plot all.h5 --kind confusion -o confusion.svg"),
    ),
    "data": (("what a folder is, and what is wrong with it", "hifa data check photos/"),),
    "data check": (
        ("what a folder is, and what is wrong with it", "hifa data check photos/"),
        ("in a script: exit 1 where anything is wrong", "hifa data check meshes/ --strict --json"),
        ("names alone, quickly, as rendered views", "hifa data check views --as shapes --names-only"),
    ),
    "data mi3dor": (
        ("photos and 95.7 % of the shapes, from sets that most labs hold",
         "hifa data mi3dor --lists MA/data/mi3dor --imagenet ILSVRC --modelnet ModelNet40 --shapenet SHREC16 "
         "-o MI3DOR"),
        ("the rest, when PSB and NTU are there",
         "hifa data mi3dor --lists MA/data/mi3dor --psb benchmark --ntu ntu -o MI3DOR"),
        ("lay out only; render elsewhere",
         "hifa data mi3dor --lists MA/data/mi3dor --modelnet ModelNet40 -o MI3DOR --no-views"),
    ),
    "data modelnet": (
        ("lay out, linking the meshes", "hifa data modelnet ModelNet40 --out mi3dor2"),
        ("copy them instead", "hifa data modelnet ModelNet40 -o mi3dor2 --copy"),
        ("counts for a script", "hifa data modelnet ModelNet40 -o mi3dor2 --force --json"),
    ),
    "demo": (
        ("the whole job: minutes on two cores", "hifa demo"),
        ("in a minute or two: shows that all works, no more", "hifa demo --small --out small-demo"),
        ("from the start again", "hifa demo --force"),
    ),
    "doctor": (
        ("what works here", "hifa doctor"),
        ("load torch and FAISS as well", "hifa doctor --thorough"),
        ("for a script: exit 1 where something is broken", "hifa doctor --json"),
    ),
    "help": (
        ("all verbs", "hifa help"),
        ("one verb", "hifa help index"),
        ("a verb of a group", "hifa help data check"),
    ),
}  # fmt: skip
