"""ControlNet: pictures that say where things are; from a picture to the map that a control model reads."""
