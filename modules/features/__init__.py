"""What is added to a picture beyond its passes: control by pictures, the detail pass; each in a folder of its own."""
