"""A STEP file as a CAD program writes it, made by hand."""


def step_text(x: float, y: float, z: float) -> str:
    """STEP (AP 214) of a box from the origin to (x, y, z), in millimetres."""
    lines: list[str] = []

    def add(entity: str) -> str:
        lines.append(f"#{len(lines) + 1}={entity};")
        return f"#{len(lines)}"

    def triple(kind: str, values: tuple[float, ...]) -> str:
        return add(f"{kind}('',({','.join(f'{float(value)!r}' for value in values)}))")

    def placement(origin: tuple[float, ...], axis: tuple[float, ...], side: tuple[float, ...]) -> str:
        parts = triple("CARTESIAN_POINT", origin), triple("DIRECTION", axis), triple("DIRECTION", side)
        return add(f"AXIS2_PLACEMENT_3D('',{','.join(parts)})")

    size = (x, y, z)
    corners = [tuple(size[k] * (corner >> k & 1) for k in range(3)) for corner in range(8)]
    vertices = [add(f"VERTEX_POINT('',{triple('CARTESIAN_POINT', corner)})") for corner in corners]
    edges: dict[tuple[int, int], str] = {}
    for a in range(8):
        for k in range(3):
            if not a >> k & 1:
                way = triple("DIRECTION", tuple(float(k == axis) for axis in range(3)))
                vector = add(f"VECTOR('',{way},1.)")
                line = add(f"LINE('',{triple('CARTESIAN_POINT', corners[a])},{vector})")
                edges[a, a | 1 << k] = add(f"EDGE_CURVE('',{vertices[a]},{vertices[a | 1 << k]},{line},.T.)")
    faces = []
    for k in range(3):
        u, v = (k + 1) % 3, (k + 2) % 3
        for side in (0, 1):
            first = side << k
            ring = [first, first | 1 << u, first | 1 << u | 1 << v, first | 1 << v]
            ring = ring if side else ring[::-1]
            turns = []
            for a, b in zip(ring, [*ring[1:], ring[0]], strict=True):
                forward = (a, b) in edges
                edge = edges[(a, b) if forward else (b, a)]
                turns.append(add(f"ORIENTED_EDGE('',*,*,{edge},{'.T.' if forward else '.F.'})"))
            loop = add(f"EDGE_LOOP('',({','.join(turns)}))")
            bound = add(f"FACE_OUTER_BOUND('',{loop},.T.)")
            axis = tuple((1.0 if side else -1.0) * (k == other) for other in range(3))
            across = tuple(float(u == other) for other in range(3))
            plane = add(f"PLANE('',{placement(corners[first], axis, across)})")
            faces.append(add(f"ADVANCED_FACE('',({bound}),{plane},.T.)"))
    shell = add(f"CLOSED_SHELL('',({','.join(faces)}))")
    solid = add(f"MANIFOLD_SOLID_BREP('',{shell})")
    world = placement((0, 0, 0), (0, 0, 1), (1, 0, 0))
    units = [
        add("(LENGTH_UNIT()NAMED_UNIT(*)SI_UNIT(.MILLI.,.METRE.))"),
        add("(NAMED_UNIT(*)PLANE_ANGLE_UNIT()SI_UNIT($,.RADIAN.))"),
        add("(NAMED_UNIT(*)SI_UNIT($,.STERADIAN.)SOLID_ANGLE_UNIT())"),
    ]
    error = add(f"UNCERTAINTY_MEASURE_WITH_UNIT(LENGTH_MEASURE(1.E-7),{units[0]},'','')")
    context = add(
        "(GEOMETRIC_REPRESENTATION_CONTEXT(3)"
        f"GLOBAL_UNCERTAINTY_ASSIGNED_CONTEXT(({error}))"
        f"GLOBAL_UNIT_ASSIGNED_CONTEXT(({','.join(units)}))REPRESENTATION_CONTEXT('',''))"
    )
    shape = add(f"ADVANCED_BREP_SHAPE_REPRESENTATION('',({world},{solid}),{context})")
    application = add("APPLICATION_CONTEXT('automotive design')")
    mechanical = add(f"PRODUCT_CONTEXT('',{application},'mechanical')")
    product = add(f"PRODUCT('box','box','',({mechanical}))")
    formation = add(f"PRODUCT_DEFINITION_FORMATION('','',{product})")
    stage = add(f"PRODUCT_DEFINITION_CONTEXT('part definition',{application},'design')")
    definition = add(f"PRODUCT_DEFINITION('','',{formation},{stage})")
    whole = add(f"PRODUCT_DEFINITION_SHAPE('','',{definition})")
    add(f"SHAPE_DEFINITION_REPRESENTATION({whole},{shape})")
    head = (
        "ISO-10303-21;\nHEADER;\nFILE_DESCRIPTION((''),'2;1');\n"
        "FILE_NAME('','2026-01-01T00:00:00',(''),(''),'','','');\n"
        "FILE_SCHEMA(('AUTOMOTIVE_DESIGN { 1 0 10303 214 1 1 1 1 }'));\nENDSEC;\nDATA;\n"
    )
    return head + "\n".join(lines) + "\nENDSEC;\nEND-ISO-10303-21;\n"
