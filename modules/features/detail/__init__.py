"""The detail pass: faces, hands and persons are found in a finished picture and painted again."""
