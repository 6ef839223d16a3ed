"""What the demo can draw: objects, shapes, colours and scenes, with the words that name them.

Few classes on purpose: a small model on a small budget learns forty-eight things well sooner than four hundred badly.
"""

from dataclasses import dataclass

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Thing:
    """One emoji object: the name used first, its character in the font, and other names for it."""

    name: str
    emoji: str
    synonyms: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every name, the main one first."""
        return (self.name, *self.synonyms)


OBJECTS: tuple[Thing, ...] = (
    Thing("red apple", "🍎", ("apple",)),
    Thing("green apple", "🍏"),
    Thing("banana", "🍌"),
    Thing("orange fruit", "🍊", ("tangerine", "mandarin")),
    Thing("lemon", "🍋"),
    Thing("strawberry", "🍓"),
    Thing("watermelon", "🍉", ("slice of watermelon",)),
    Thing("pineapple", "🍍"),
    Thing("cherries", "🍒", ("cherry",)),
    Thing("pizza", "🍕", ("slice of pizza",)),
    Thing("hamburger", "🍔", ("burger",)),
    Thing("doughnut", "🍩", ("donut",)),
    Thing("carrot", "🥕"),
    Thing("mushroom", "🍄"),
    Thing("tree", "🌳"),
    Thing("pine tree", "🌲", ("fir tree", "christmas tree")),
    Thing("palm tree", "🌴", ("palm",)),
    Thing("cactus", "🌵"),
    Thing("sunflower", "🌻"),
    Thing("rose", "🌹", ("red rose",)),
    Thing("sun", "🌞", ("sun with face",)),
    Thing("moon", "🌙", ("crescent moon",)),
    Thing("cloud", "☁"),
    Thing("rainbow", "🌈"),
    Thing("fire", "🔥", ("flame",)),
    Thing("snowman", "⛄"),
    Thing("cat", "🐱", ("cat face", "kitten")),
    Thing("dog", "🐶", ("dog face", "puppy")),
    Thing("lion", "🦁"),
    Thing("panda", "🐼"),
    Thing("frog", "🐸"),
    Thing("pig", "🐷"),
    Thing("chick", "🐤", ("baby chick",)),
    Thing("penguin", "🐧"),
    Thing("whale", "🐳"),
    Thing("tropical fish", "🐠", ("fish",)),
    Thing("turtle", "🐢"),
    Thing("butterfly", "🦋"),
    Thing("ladybug", "🐞", ("ladybird",)),
    Thing("car", "🚗", ("red car",)),
    Thing("taxi", "🚕", ("yellow taxi",)),
    Thing("bus", "🚌"),
    Thing("rocket", "🚀", ("spaceship",)),
    Thing("sailboat", "⛵", ("boat",)),
    Thing("house", "🏠"),
    Thing("balloon", "🎈", ("red balloon",)),
    Thing("soccer ball", "⚽", ("football",)),
    Thing("smiley", "😀", ("smiling face", "happy face")),
)

COLOURS: dict[str, Colour] = {
    "red": (220, 35, 40),
    "orange": (250, 140, 20),
    "yellow": (250, 220, 40),
    "green": (40, 160, 65),
    "cyan": (70, 210, 225),
    "blue": (35, 85, 220),
    "purple": (125, 50, 180),
    "pink": (250, 145, 190),
    "brown": (125, 75, 40),
    "black": (15, 15, 18),
    "gray": (135, 138, 142),
    "white": (252, 252, 252),
}

COLOUR_SYNONYMS: dict[str, tuple[str, ...]] = {"gray": ("grey",), "purple": ("violet",), "cyan": ("turquoise",)}

SHAPES: tuple[str, ...] = ("circle", "square", "triangle", "star", "heart", "diamond", "hexagon", "cross", "ring")

SCENES: dict[str, tuple[str, ...]] = {
    "beach": ("on the beach", "on a beach", "at the beach"),
    "space": ("in space", "in outer space"),
    "snow": ("in the snow", "in a snowy landscape"),
    "underwater": ("under water", "underwater", "in the sea"),
    "desert": ("in the desert", "in a desert"),
    "grass": ("on the grass", "in a meadow", "on a green field"),
    "sunset": ("at sunset", "in front of a sunset"),
    "night": ("at night", "in the night"),
}
