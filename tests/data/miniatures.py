"""Miniatures of the data sets that people have: the names are the sets', the meshes are tiny."""

import gzip
import json
from pathlib import Path
from typing import Any

from tests.trees import picture

TETRAHEDRON = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 2 3 4\nf 1 4 3\n"
UID = "0123456789abcdef0123456789abcdef"
UUIDS = ("0a1b2c3d-0000-4000-8000-0123456789ab", "1a1b2c3d-0000-4000-8000-0123456789ab")


def mesh(path: Path) -> Path:
    """Write a tetrahedron as OBJ, OFF or GLB, by the ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".obj":
        path.write_text(TETRAHEDRON)
    else:
        import trimesh

        trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]],
                        [[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]).export(path)  # fmt: skip
    return path


def packed(path: Path, content: str) -> None:
    """Write a text, packed by gzip where the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as file:
        file.write(content)


def as_json(path: Path, document: Any) -> None:
    """Write a JSON file likewise."""
    packed(path, json.dumps(document))


def pix3d(root: Path) -> Path:
    """Two chairs of IKEA and a bed with two meshes in one folder; masks beside the photos."""
    models = ("chair/IKEA_A/model.obj", "chair/IKEA_B/model.obj", "bed/MALM/bed_1.obj", "bed/MALM/bed_2.obj")
    entries = []
    for number, model in enumerate((*models, models[0])):
        kind = model.split("/")[0]
        image = f"img/{kind}/{number:04d}.jpg"
        picture(root / image)
        picture(root / f"mask/{kind}/{number:04d}.png")
        mesh(root / "model" / model)
        entries.append({"img": image, "category": kind, "model": f"model/{model}", "bbox": [0, 0, 1, 1]})
    as_json(root / "pix3d.json", entries)
    return root


def shapenet(root: Path, name: str = "models/model_normalized.obj") -> Path:
    """An airplane to train on, a train to test on, and a synset that the taxonomy alone knows."""
    rows = ["id,synsetId,subSynsetId,modelId,split"]
    for synset, split in (("02691156", "train"), ("04468005", "test"), ("09999999", "val")):
        mesh(root / synset / UID / name)
        rows.append(f"000001,{synset},{synset},{UID},{split}")
    packed(root / "all.csv", "\n".join(rows) + "\n")
    as_json(root / "taxonomy.json", [{"synsetId": "09999999", "name": "garden gnome,gnome"}])
    return root


def shapenet1(root: Path) -> Path:
    """The same in the first version's names, with a boat and a bicycle, which the second has not."""
    for synset in ("02858304", "02834778"):
        mesh(root / synset / UID / "model.obj")
    return shapenet(root, "model.obj")


def objaverse(root: Path) -> Path:
    """An object with a class of LVIS and one without."""
    for number in range(2):
        mesh(root / f"glbs/000-02{number}/{number}{UID[1:]}.glb")
    as_json(root / "lvis-annotations.json.gz", {"garden_gnome": ["1" + UID[1:]]})
    return root


def abo(root: Path) -> Path:
    """Two products, one with a 3D model and a main photo."""
    for asin in ("B07B4YVDLQ", "B07B4YVDL1"):
        mesh(root / f"3dmodels/original/{asin[-1]}/{asin}.glb")
    listing = {"item_id": "X", "product_type": [{"value": "RUG"}], "main_image_id": "71abc",
               "3dmodel_id": "B07B4YVDLQ"}  # fmt: skip
    other = {"item_id": "Y", "product_type": [{"value": "SOFA"}], "main_image_id": "72abc"}
    packed(
        root / "listings/metadata/listings_0.json.gz", json.dumps(listing) + "\n" + json.dumps(other) + "\n"
    )
    packed(root / "images/metadata/images.csv.gz",
           "image_id,height,width,path\n71abc,2,2,71/71abc.jpg\n72abc,2,2,72/72abc.jpg\n")  # fmt: skip
    for image in ("71", "72"):
        picture(root / f"images/small/{image}/{image}abc.jpg")
    return root


def gso(root: Path) -> Path:
    """A shoe, an object whose description names no class, and one whose class is called None."""
    described = 'name: "x"\nauthors {\n  name: "Google"\n}\nannotations {\n  key: "brand"\n  value: "a"\n}\n'
    for name, text in (
        ("Asics_GEL", described + 'categories {\n  first: "Shoe"\n}\n'),
        ("Blue_Vase", described),
        ("Red_Box", described + 'categories {\n  first: "None"\n}\n'),
    ):
        mesh(root / name / "meshes/model.obj")
        picture(root / name / "materials/textures/texture.png")
        packed(root / name / "metadata.pbtxt", text)
    return root


def future(root: Path) -> Path:
    """Two pieces of furniture, each raw and normalised; a category with a slash, and one that is null."""
    for uuid in UUIDS:
        mesh(root / uuid / "raw_model.obj")
        mesh(root / uuid / "normalized_model.obj")
        picture(root / uuid / "image.jpg")
    as_json(root / "model_info.json", [
        {"model_id": UUIDS[0], "super-category": "Table", "category": "Corner/Side Table"},
        {"model_id": UUIDS[1], "super-category": "Sofa", "category": None},
    ])  # fmt: skip
    return root


def toys4k(root: Path) -> Path:
    """Two airplanes and an apple."""
    for name in ("airplane/airplane_000", "airplane/airplane_001", "apple/apple_000"):
        mesh(root / "toys4k_obj_files" / name / "mesh.obj")
    return root


def mcb(root: Path) -> Path:
    """Two kinds of parts, split."""
    for name in ("train/Bearing/00000001", "train/Cap nuts/00000002", "test/Bearing/00000003"):
        mesh(root / "dataset" / f"{name}.obj")
    return root


def fusion(root: Path) -> Path:
    """Two designs, one of three steps."""
    for name in ("21241_b5f8e7a1_0000_0001", "21241_b5f8e7a1_0000_0009", "21242_c5f8e7a1_0000_0002"):
        mesh(root / "reconstruction" / f"{name}.obj")
    as_json(root / "train_test.json", {"train": ["21241_b5f8e7a1_0000"], "test": ["21242_c5f8e7a1_0000"]})
    return root


def assemblies(root: Path) -> Path:
    """An assembly of two bodies."""
    for name in ("assembly", *UUIDS):
        mesh(root / "assembly/35848_1b2c3d4e" / f"{name}.obj")
    as_json(root / "assembly/35848_1b2c3d4e/assembly.json", {"tree": {}})
    as_json(root / "train_test.json", {"train": [], "test": ["35848_1b2c3d4e"]})
    return root


def abc(root: Path) -> Path:
    """Two models, one of two parts."""
    for number, part in (("00000002", "000"), ("00000050", "000"), ("00000050", "001")):
        mesh(root / f"abc_0000_obj_v00/{number}/{number}_1ffb81a71e5b402e966b9341_trimesh_{part}.obj")
    return root


def thingi10k(root: Path) -> Path:
    """Two files of one thing, one of a thing without a category, and one that no list names."""
    for number in ("132423", "132424", "32770", "994785"):
        mesh(root / f"raw_meshes/{number}.stl")
    files = ("132423,9,CC-BY,a.stl,TRUE", "132424,9,CC-BY,b.stl,TRUE", "32770,10,CC-BY,c.stl,TRUE")
    things = (
        "9,2014-01-01T00:00:00,art,sculptures,Owl ,me,CC-BY",
        "10,2014-01-02T00:00:00,None,None,Cat ,me,CC-BY",
    )
    packed(root / "input_summary.csv", "\n".join(("ID,Thing ID,License,Link,Closed", *files)) + "\n")
    head = "Thing ID,Date,Category,Sub-category,Name,Author,License"
    packed(root / "contextual_data.csv", "\n".join((head, *things)) + "\n")
    return root


def topex(root: Path) -> Path:
    """Two machine parts: renders to train on, photos to test on."""
    for part in ("gear", "shaft"):
        for number in range(3):
            picture(root / "train" / part / f"render{number}.png")
        picture(root / "test" / part / "photo.jpg")
    return root


def modelnet(root: Path) -> Path:
    """Two classes, split, in the archive's own folder."""
    for name in ("chair/train/chair_0001", "chair/test/chair_0890", "xbox/train/xbox_0001"):
        mesh(root / "ModelNet40" / f"{name}.off")
    return root
