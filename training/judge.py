"""What a generated picture shows, judged by colours and by the nearest rendered example."""

import numpy as np

from training.cases import Case
from training.composition import Composition, Item
from training.features import border_colour, features, foreground, nearest, to_lab
from training.rendering import PAIR_SIZE, SINGLE_SIZES, render
from training.vocabulary import COLOURS, OBJECTS, SHAPES


def nearest_colour(colour: np.ndarray) -> str:
    """The named colour closest in Lab."""
    own = to_lab(colour)
    return min(COLOURS, key=lambda name: float(np.linalg.norm(own - to_lab(np.array(COLOURS[name], np.uint8)))))


def _templates(names: list[str], shapes: bool) -> dict[str, list[np.ndarray]]:
    rng = np.random.default_rng(0)
    background = "black" if shapes else "white"
    result = {}
    for name in names:
        composition = Composition((Item(name, "white" if shapes else None),), background=background)
        result[name] = [features(render(composition, rng)) for _ in range(2 * len(SINGLE_SIZES))]
    return result


def _pair_templates() -> dict[str, list[np.ndarray]]:
    rng, size, names = np.random.default_rng(0), PAIR_SIZE + 8, [thing.name for thing in OBJECTS]
    result = {}
    for name, other in zip(names, names[1:] + names[:1], strict=True):
        picture = render(Composition((Item(name), Item(other)), background="white"), rng)
        result[name] = [features(picture[:, :size])]
    return result


class Judge:
    """Says for a picture which colours, object or shape it shows."""

    def __init__(self) -> None:
        self.objects = _templates([thing.name for thing in OBJECTS], shapes=False)
        self.halves = _pair_templates()
        silhouettes = _templates(list(SHAPES), shapes=True)
        self.shapes = {name: [t.reshape(-1, 4)[:, 3] for t in found] for name, found in silhouettes.items()}

    def shape(self, picture: np.ndarray) -> str:
        """The shape with the closest silhouette."""
        own = features(picture).reshape(-1, 4)[:, 3]
        return min(self.shapes, key=lambda name: min(float(np.linalg.norm(own - t)) for t in self.shapes[name]))

    def judge(self, case: Case, picture: np.ndarray) -> dict[str, bool]:
        """The verdicts that apply to this case, by name of the figure."""
        composition, verdict = case.composition, {}
        if composition.background:
            verdict["background colour"] = nearest_colour(border_colour(picture)) == composition.background
        if len(composition.items) == 2:
            for side, item in enumerate(composition.items):
                half = picture[:, :64] if side == 0 else picture[:, 64:]
                verdict[f"pair {'left' if side == 0 else 'right'} top-5"] = item.name in nearest(half, self.halves)[:5]
            return verdict
        item = composition.items[0]
        if item.is_shape:
            mask = foreground(picture)
            colour = np.median(picture[mask], axis=0).astype(np.uint8) if mask.any() else border_colour(picture)
            verdict["shape colour"] = nearest_colour(colour) == item.colour
            verdict["shape outline"] = self.shape(picture) == item.name
        elif composition.scene is None:
            order = nearest(picture, self.objects)
            verdict["object top-1"], verdict["object top-5"] = item.name == order[0], item.name in order[:5]
        return verdict
